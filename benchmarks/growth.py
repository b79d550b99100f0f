"""What requests cost as the items become more: `python -m benchmarks.growth --folder DIR --items 10000 1000000`.

A service for each number of items, on a database that is made once and kept in the folder (some 1 GB a million). They
are asked in turn, one request at a time, so that what slows the machine down slows all of them down.
"""

import argparse
import http.client
import json
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from random import Random
from statistics import quantiles
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg

from benchmarks import growth_rows
from benchmarks.growth_rows import COMMON, MANY, RARE, SOME, TEN
from benchmarks.service import PROJECT, Service

# Of what is looked for in every item, too: it would be met only behind all the new ones.
TEXT = f"Of ordinary length, as {COMMON} users would write it."
NEW = {"name": "new item", "description": TEXT, "metadata": {}}


class Grown:
    """A service among so many items, and what it is asked."""

    def __init__(self, folder: Path, count: int, server: str) -> None:
        self.count, self.folder = count, folder
        self.dsn = f"sqlite:///{folder / f'{count}.db'}"
        if server:
            self.dsn = urlunsplit(urlsplit(server)._replace(path=f"/growth_{count}"))
        self._server = server
        self.service = Service(folder, dsn=self.dsn, redis_url="", core=None)
        self.tokens: dict[str, str] = {}
        self.requests: dict[str, Any] = {}

    def prepare(self) -> None:
        """Makes the database unless it is there, or brings it up to date; starts the service."""
        is_made = self._is_made()
        self.service.migrate()
        if not is_made:
            growth_rows.fill(self.dsn, self.count)
            self._manage("build_search_index")
        if self._server:
            growth_rows.settle(self.dsn)
        self.service.start()
        self.tokens = {email: self._manage("token", email, "--ttl", "86400").strip() for email in (MANY, SOME, TEN)}
        self.connection = http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=600)
        self.requests = self._requests()

    def _is_made(self) -> bool:
        if not self._server:
            return (self.folder / f"{self.count}.db").exists()
        with psycopg.connect(self._server, autocommit=True) as server:
            name = f"growth_{self.count}"
            if server.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
                return True
            server.execute(f"CREATE DATABASE {name}".encode())
            return False

    def _manage(self, *arguments: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(command, cwd=PROJECT, env=self.service.environment, check=True, stdout=subprocess.PIPE)
        return done.stdout.decode()

    def ask(self, method: str, path: str, email: str = MANY, body: Any = None) -> tuple[float, Any]:
        """The milliseconds until the answer, and the answer."""
        headers = {"Authorization": f"Bearer {self.tokens[email]}", "Content-Type": "application/json"}
        sent = None if body is None else json.dumps(body)
        began = time.perf_counter()
        self.connection.request(method, path, sent, headers)
        answer = self.connection.getresponse()
        told = answer.read()
        taken = (time.perf_counter() - began) * 1000
        if answer.status not in (200, 201):
            raise RuntimeError(f"{method} {path}: {answer.status} {told[:300]!r}")
        return taken, json.loads(told)

    def _requests(self) -> dict[str, tuple[str, list[str], str, Any]]:
        """What is asked, by its name: the method, paths to choose from, whose token, the body."""
        middle = growth_rows.START + timedelta(seconds=self.count / 8)
        before = f"/v1/items/?created_before={quote(middle.isoformat())}"
        deep = f"{before}&cursor={quote(self.ask('GET', before)[1]['next_cursor'])}"
        items = [item for _ in range(5) for item in self.ask("GET", f"{before}&limit=100")[1]["items"]]
        found = {
            "get": ("GET", [f"/v1/items/{item['id']}" for item in items], MANY, None),
            "list": ("GET", ["/v1/items/"], MANY, None),
            "list_deep": ("GET", [deep], MANY, None),
            "list, status": ("GET", ["/v1/items/?status=archived"], MANY, None),
            "create": ("POST", ["/v1/items/"], MANY, NEW),
        }
        texts = {"in all": COMMON, "in five": RARE, "in none": "nowhere"}
        if not self._server:
            # pg_trgm has no trigram of them, and the server's time is up before all items are read.
            texts["two letters"] = "xy"
        for name, text in texts.items():
            for sort in ("-created_at", "name"):
                found[f"q {name}, by {sort}"] = ("GET", [f"/v1/items/?q={text}&sort={sort}"], MANY, None)
        deeper = f"{before}&q={COMMON}"
        cursor = quote(self.ask("GET", deeper)[1]["next_cursor"])
        found["q in all, deep"] = ("GET", [f"{deeper}&cursor={cursor}"], MANY, None)
        found["q in five, total"] = ("GET", [f"/v1/items/?q={RARE}&total=true"], MANY, None)
        found["q in all, of ten"] = ("GET", [f"/v1/items/?q={COMMON}"], TEN, None)
        found["q in none, of ten"] = ("GET", [f"/v1/items/?q={RARE}k"], TEN, None)
        return found


def measure(sizes: list[Grown], rounds: int) -> None:
    """Prints the lower quartiles, and each size's as a multiple of the first's."""
    chance = Random(1)  # noqa: S311  # the same items each time
    print(f"{'milliseconds':30}" + "".join(f"{grown.count:>12,}      " for grown in sizes))
    for name in sizes[0].requests:
        taken: list[list[float]] = [[] for _ in sizes]
        for grown in sizes:
            # Anew: the service closes what was idle while another was asked.
            grown.connection.close()
        for _ in range(rounds):
            for grown, noted in zip(sizes, taken, strict=True):
                method, paths, email, body = grown.requests[name]
                noted.append(grown.ask(method, chance.choice(paths), email, body)[0])
        # The quicker ones tell of the service, the others of what else the machine had to do.
        quartiles = [quantiles(noted, n=4)[0] for noted in taken]
        print(f"{name:30}" + "".join(f"{one:12.2f} {one / quartiles[0]:4.2f}x" for one in quartiles), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where the databases are, and stay")
    parser.add_argument("--items", type=int, nargs="+", default=[10_000, 1_000_000], help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=200, help="how often each is asked (default: %(default)s)")
    parser.add_argument("--db", default="", metavar="DSN", help="postgresql://…: databases beside that one, which stay")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    sizes = [Grown(options.folder, count, options.db) for count in options.items]
    try:
        for grown in sizes:
            grown.prepare()
        measure(sizes, options.rounds)
    finally:
        for grown in sizes:
            grown.service.stop()


if __name__ == "__main__":
    main()
