"""A private PostgreSQL server, for what must hold on both databases. As root it runs as the user `postgres`."""

import contextlib
import glob
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import psycopg

from tests.running_service import free_port

START_SECONDS = 60.0


def find_binaries() -> str | None:
    """The folder of `postgres` and `initdb`: PG_BIN, Debian's, or on the PATH."""
    found = shutil.which("postgres")
    on_path = str(Path(found).resolve().parent) if found else ""
    places = [os.environ.get("PG_BIN", ""), *sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True), on_path]  # noqa: PTH207
    return next((place for place in places if place and Path(place, "initdb").exists()), None)


class PostgresServer:
    """Started when it is entered, with an empty database `app`; its files go when it is left."""

    def __init__(self, binaries: str) -> None:
        self._binaries, self.port = binaries, free_port()
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._user = {"user": "postgres", "group": "postgres", "extra_groups": []}
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = Path(tempfile.mkdtemp(prefix="agent-router-postgres-"))

    @property
    def dsn(self) -> str:
        return f"postgresql://app@127.0.0.1:{self.port}/postgres"

    def __enter__(self) -> Self:
        if self._user:
            shutil.chown(self._folder, "postgres", "postgres")
        data = str(self._folder / "data")
        make = ["initdb", "-D", data, "-U", "app", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]
        self._start(make).wait(START_SECONDS)
        options = ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=100"]
        self._process = self._start(["postgres", "-D", data, "-p", str(self.port), "-k", str(self._folder), *options])
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.dsn, connect_timeout=5).close()
                return self
            assert time.monotonic() < deadline, "PostgreSQL does not start"
            time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(START_SECONDS)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        out = subprocess.DEVNULL
        program = [f"{self._binaries}/{command[0]}", *command[1:]]
        return subprocess.Popen(program, cwd=self._folder, stdout=out, stderr=out, **self._user)
