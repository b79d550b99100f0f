"""Measure how latency grows with the number of items: `python -m benchmarks.growth --folder DIR --items 10000 1000000`.

Each number of items has a service on its own database. The folder keeps the databases (about 1 GB per million items).
The services receive one request at a time in turn, so that disturbances affect all of them equally.
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

# The text contains the word of every item, or a search for it would have to skip all new items.
TEXT = f"Of ordinary length, as {COMMON} users would write it."
NEW = {"name": "new item", "description": TEXT, "metadata": {}}


class SizedService:
    """A service with a given number of items, and the requests to measure."""

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
        """Create or migrate the database, and start the service."""
        exists = self._exists()
        self.service.migrate()
        if not exists:
            growth_rows.fill(self.dsn, self.count)
            self._manage("build_search_index")
        if self._server:
            growth_rows.settle(self.dsn)
        self.service.start()
        self.tokens = {email: self._manage("token", email, "--ttl", "86400").strip() for email in (MANY, SOME, TEN)}
        self.connection = http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=600)
        self.requests = self._requests()

    def _exists(self) -> bool:
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

    def send(self, method: str, path: str, email: str = MANY, body: Any = None) -> tuple[float, Any]:
        """Send a request. Return the latency in milliseconds and the JSON of the response."""
        headers = {"Authorization": f"Bearer {self.tokens[email]}", "Content-Type": "application/json"}
        sent = None if body is None else json.dumps(body)
        began = time.perf_counter()
        self.connection.request(method, path, sent, headers)
        response = self.connection.getresponse()
        content = response.read()
        milliseconds = (time.perf_counter() - began) * 1000
        if response.status not in (200, 201):
            raise RuntimeError(f"{method} {path}: {response.status} {content[:300]!r}")
        return milliseconds, json.loads(content)

    def _requests(self) -> dict[str, tuple[str, list[str], str, Any]]:
        """Return the requests by name: method, paths to choose from, user, and body."""
        middle = growth_rows.START + timedelta(seconds=self.count / 8)
        before = f"/v1/items/?created_before={quote(middle.isoformat())}"
        deep = f"{before}&cursor={quote(self.send('GET', before)[1]['next_cursor'])}"
        items = [item for _ in range(5) for item in self.send("GET", f"{before}&limit=100")[1]["items"]]
        found = {
            "get": ("GET", [f"/v1/items/{item['id']}" for item in items], MANY, None),
            "list": ("GET", ["/v1/items/"], MANY, None),
            "list_deep": ("GET", [deep], MANY, None),
            "list, status": ("GET", ["/v1/items/?status=archived"], MANY, None),
            "create": ("POST", ["/v1/items/"], MANY, NEW),
        }
        texts = {"in all": COMMON, "in five": RARE, "in none": "nowhere"}
        if not self._server:
            # pg_trgm has no trigrams for these, and reading all items takes longer than the statement timeout.
            texts["two letters"] = "xy"
        for name, text in texts.items():
            for sort in ("-created_at", "name"):
                found[f"q {name}, by {sort}"] = ("GET", [f"/v1/items/?q={text}&sort={sort}"], MANY, None)
        deeper = f"{before}&q={COMMON}"
        cursor = quote(self.send("GET", deeper)[1]["next_cursor"])
        found["q in all, deep"] = ("GET", [f"{deeper}&cursor={cursor}"], MANY, None)
        found["q in five, total"] = ("GET", [f"/v1/items/?q={RARE}&total=true"], MANY, None)
        found["q in all, of ten"] = ("GET", [f"/v1/items/?q={COMMON}"], TEN, None)
        found["q in none, of ten"] = ("GET", [f"/v1/items/?q={RARE}k"], TEN, None)
        return found


def measure(sizes: list[SizedService], rounds: int) -> None:
    """Print the lower quartiles, and their ratios to the first service's."""
    chance = Random(1)  # noqa: S311  # the same items each time
    print(f"{'milliseconds':30}" + "".join(f"{sized.count:>12,}      " for sized in sizes))
    for name in sizes[0].requests:
        milliseconds: list[list[float]] = [[] for _ in sizes]
        for sized in sizes:
            # Reconnect, because the service has closed idle connections meanwhile.
            sized.connection.close()
        for _ in range(rounds):
            for sized, measured in zip(sizes, milliseconds, strict=True):
                method, paths, email, body = sized.requests[name]
                measured.append(sized.send(method, chance.choice(paths), email, body)[0])
        # The lower quartile shows the service's latency. Slower requests mostly show other load on the machine.
        quartiles = [quantiles(measured, n=4)[0] for measured in milliseconds]
        print(f"{name:30}" + "".join(f"{one:12.2f} {one / quartiles[0]:4.2f}x" for one in quartiles), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="the folder of the databases, which are kept")
    parser.add_argument("--items", type=int, nargs="+", default=[10_000, 1_000_000], help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=200, help="measurements of each request (default: %(default)s)")
    parser.add_argument("--db", default="", metavar="DSN", help="a PostgreSQL server for the databases")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    sizes = [SizedService(options.folder, count, options.db) for count in options.items]
    try:
        for sized in sizes:
            sized.prepare()
        measure(sizes, options.rounds)
    finally:
        for sized in sizes:
            sized.service.stop()


if __name__ == "__main__":
    main()
