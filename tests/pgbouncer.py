"""A private PgBouncer in transaction mode for tests. It has fewer connections to PostgreSQL than clients."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from tests.ports import free_port
from tests.postgres_server import PostgresServer

START_SECONDS = 20.0


def find_pgbouncer() -> str | None:
    """Return the path of the program. Debian installs it where the PATH of users may not lead."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


class PgBouncer:
    """`with PgBouncer(server) as pooler: … pooler.dsn(server.create_database())`"""

    def __init__(self, server: PostgresServer, *, pool_size: int = 2, user: str = "app") -> None:
        self.server, self.pool_size, self.user = server, pool_size, user
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        program = find_pgbouncer()
        assert program is not None
        config = self.folder / "pgbouncer.ini"
        config.write_text(
            f"""
            [databases]
            * = host=127.0.0.1 port={self.server.port} user={self.user}
            [pgbouncer]
            listen_addr = 127.0.0.1
            listen_port = {self.port}
            unix_socket_dir =
            auth_type = any
            pool_mode = transaction
            default_pool_size = {self.pool_size}
            max_client_conn = 200
            """
        )
        if self.server.run_as:
            for path in (self.folder, config):
                os.chown(path, self.server.run_as["user"], self.server.run_as["group"])
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [program, str(config)], cwd=self.folder, stdout=log, stderr=log, **self.server.run_as
            )
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def dsn(self, dsn: str) -> str:
        """Return the DSN of the same database through PgBouncer."""
        return urlsplit(dsn)._replace(netloc=f"app:any@127.0.0.1:{self.port}").geturl()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert self.process is not None
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
