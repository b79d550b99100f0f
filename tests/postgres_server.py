"""A private PostgreSQL server for tests, in its own folder and on a free port. Tests can stop, kill and restart it.

`PG_BIN` names the folder of PostgreSQL's programs if they are neither on the PATH nor where Debian installs them.
"""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest
from psycopg import sql

from tests.ports import free_port

MISSING = "PostgreSQL is not installed: apt-get install postgresql, or set PG_BIN to the folder of its programs"
START_SECONDS = 30.0
SERVER_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    # Tests kill the server, but never the machine.
    "fsync": "off",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "logging_collector": "off",
}


def binary_folder() -> Path | None:
    """Return the folder of initdb and postgres, or None if PostgreSQL is not installed."""
    places = [Path(os.environ["PG_BIN"])] if os.environ.get("PG_BIN") else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    # On Debian, the PATH has links to some programs. The others are next to the targets of these links.
    places += [Path(found).resolve().parent for name in ("initdb", "postgres") if (found := shutil.which(name))]
    for place in places:
        if (place / "initdb").exists() and (place / "postgres").exists():
            return place
    return None


def run_as() -> dict[str, Any]:
    """Return the process options to run as another user, because PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    known = {user.pw_name: user for user in pwd.getpwall()}
    user = known.get("postgres") or known["nobody"]
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _children(parent: int) -> Iterator[int]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The program's name, in parentheses, may contain spaces and parentheses.
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent:
                yield int(stat.parent.name)


def _is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


class PostgresServer:
    """`with PostgresServer() as server: … server.create_database()`. Keyword arguments are settings of the server."""

    def __init__(self, **options: str) -> None:
        binaries = binary_folder()
        if binaries is None:
            pytest.skip(MISSING)
        self.options = SERVER_SETTINGS | options
        self.binaries, self.run_as = binaries, run_as()
        self.password = secrets.token_hex(8)
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self.data = self.folder / "data"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if self.run_as:
            os.chown(self.folder, self.run_as["user"], self.run_as["group"])
        self.create()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def create(self) -> None:
        """Create the cluster with initdb."""
        # Like the default of most servers, this locale has Unicode case rules.
        locale = ("--locale=C.UTF-8", "--encoding=UTF8")
        self.run("initdb", "-D", str(self.data), "-U", "app", "--auth=trust", "--no-sync", *locale)

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs to its end."""
        command = [str(self.binaries / program), *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False, **self.run_as)
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start the server on its port, and wait until it accepts connections."""
        self.boot()
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.connect().close()
            except psycopg.OperationalError:
                assert self.process is not None
                assert self.process.poll() is None, self.log
                assert time.monotonic() < deadline, self.log
                time.sleep(0.02)
            else:
                return

    def boot(self) -> None:
        """Start the server without waiting."""
        command = [str(self.binaries / "postgres"), "-D", str(self.data), "-p", str(self.port), "-k", str(self.folder)]
        for name, value in self.options.items():
            command += ["-c", f"{name}={value}"]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, **self.run_as)

    @property
    def log(self) -> str:
        """The server's log."""
        return (self.folder / "server.log").read_text(errors="replace")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server. SIGINT closes every connection, and SIGQUIT leaves recovery to the next start."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(START_SECONDS)
            self.process = None

    def kill(self) -> None:
        """Kill all processes of the server, as a crash of the machine does."""
        if self.process is not None:
            killed = self._signal(signal.SIGKILL)
            self.process.wait()
            self.process = None
            # A new server does not start while an old process still uses the shared memory.
            while any(_is_alive(process) for process in killed):
                time.sleep(0.01)

    def pause(self) -> None:
        """Suspend the server. Its connections stay open."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Resume the server after `pause`."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> list[int]:
        # Each process has its own group. The suspended postmaster starts no new process meanwhile.
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        processes = [*_children(self.process.pid), self.process.pid]
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)
        return processes

    def connect(self, database: str = "postgres") -> "psycopg.Connection[Any]":
        """Open a connection in autocommit mode."""
        return psycopg.connect(self.dsn(database), autocommit=True, connect_timeout=5)

    def create_database(self, template: str = "template1") -> str:
        """Create a database, empty or as a copy of another one, and return its DSN."""
        name = f"test_{secrets.token_hex(6)}"
        with self.connect() as connection:
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return self.dsn(name)

    def dsn(self, database: str) -> str:
        """Return the DB_DSN of a database."""
        return f"postgresql://app:{self.password}@127.0.0.1:{self.port}/{database}"


@contextlib.contextmanager
def paused(server: PostgresServer) -> Iterator[None]:
    """Suspend the server within the block."""
    server.pause()
    try:
        yield
    finally:
        server.resume()
