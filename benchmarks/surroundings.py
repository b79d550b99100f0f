"""A private database and a private Redis for a benchmark. Both are removed afterwards."""

import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from benchmarks import processes

START_SECONDS = 20.0


def free_port() -> int:
    """Return a port that is currently free."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a process listens on the port. Raises RuntimeError if the process ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{process.args!r} did not start") from None
            time.sleep(0.02)


@contextmanager
def private_redis(core: int | None) -> Iterator[tuple[str, int]]:
    """Start a private redis-server. Yield its URL and process id, or "" and 0 if redis-server is not installed."""
    program = shutil.which("redis-server")
    if program is None:
        yield "", 0
        return
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, cwd="/", stdout=subprocess.DEVNULL)
    try:
        processes.pin(process.pid, core)
        wait_for_port(port, process)
        yield f"redis://127.0.0.1:{port}/0", process.pid
    finally:
        process.terminate()
        process.wait()


@contextmanager
def private_database(folder: Path, dsn: str) -> Iterator[str]:
    """Yield the DSN of an empty database: a SQLite file, or a new database on the PostgreSQL server of `dsn`."""
    if not dsn:
        yield f"sqlite:///{folder / 'bench.db'}"
        return
    name = f"agent_router_bench_{secrets.token_hex(4)}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
