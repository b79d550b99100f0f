"""A private redis-server for tests, on a free port and a Unix socket. Tests can kill, pause and restart it."""

import contextlib
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.ports import free_port


class RedisServer:
    """`with RedisServer() as server: … server.url`. Arguments are options, such as `--maxmemory 1mb`."""

    def __init__(self, *options: str, password: str = "") -> None:
        if shutil.which("redis-server") is None:
            pytest.skip("redis-server is not installed: apt-get install redis-server")
        self.password = password
        self.options = options
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="redis-"))
        self.socket = self.folder / "redis.sock"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The REDIS_URL."""
        return f"redis://{f':{quote(self.password, safe="")}@' if self.password else ''}127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start the server, empty, on its port, and wait until it responds."""
        # The options come first, because the first option may be a configuration file.
        command = ["redis-server", *self.options, "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--dir", str(self.folder), "--unixsocket", str(self.socket), "--save", "", "--appendonly", "no"]
        command += ["--requirepass", self.password] if self.password else []
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while True:
            with self.client() as client:
                try:
                    client.ping()
                except redis.ConnectionError:
                    if self.process.poll() is not None or time.monotonic() > deadline:
                        raise RuntimeError("redis-server does not start") from None
                    time.sleep(0.02)
                else:
                    return

    @contextlib.contextmanager
    def client(self) -> Iterator["redis.Redis"]:
        """Open a client of redis-py."""
        client = redis.Redis(port=self.port, password=self.password or None, retry=Retry(NoBackoff(), 0))
        try:
            yield client
        finally:
            client.close()

    def command(self, *words: str | int | bytes) -> Any:
        """Send a command and return Redis' reply."""
        with self.client() as client:
            return client.execute_command(*words)  # type: ignore[no-untyped-call]

    def kill(self) -> None:
        """Kill the server with SIGKILL."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self) -> None:
        """Suspend the server. Its connections stay open."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Resume the server after `pause`."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self.process
        self.process.send_signal(number)
