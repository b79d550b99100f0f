"""The service as a process of its own, as in production: started, asked, stopped."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmarks import processes
from benchmarks.surroundings import START_SECONDS, free_port

PROJECT = Path(__file__).resolve().parent.parent
UVICORN_FLAGS = ("--no-server-header", "--no-proxy-headers", "--no-access-log")
INHERITED = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
EMAIL, PASSWORD = "bench@example.org", secrets.token_urlsafe(16)


class Service:
    """Everything that a request passes is on. `folder` gets its log; settings can be overridden by name."""

    def __init__(self, folder: Path, *, dsn: str, redis_url: str, core: int | None, **settings: str) -> None:
        self.folder, self.core = folder, core
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.environment = {
            **INHERITED,
            "APP_ENV": "production",
            "DB_DSN": dsn,
            "REDIS_URL": redis_url,
            "JWT_SECRET": secrets.token_urlsafe(48),
            "RATE_LIMIT": "1000000000/minute",
            "RATE_LIMIT_AUTH": "1000000000/minute",
            **settings,
        }

    def migrate(self) -> None:
        """Makes the tables."""
        command = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
        subprocess.run(command, cwd=PROJECT, env=self.environment, check=True)

    def start(self, workers: int = 1) -> None:
        """Starts it on a new port and waits until it is ready. Its access log goes where nobody reads it."""
        self.port = free_port()
        command = [sys.executable, "manage.py", "serve", "--port", str(self.port), "--workers", str(workers)]
        with (self.folder / "service.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=PROJECT,
                env=self.environment,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        processes.pin(self.process.pid, self.core)
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the service did not start:\n" + (self.folder / "service.log").read_text()[-2000:])
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            return self.ask("GET", "/health/ready")[0] == 200
        except OSError:
            return False

    def stop(self) -> None:
        """SIGTERM, and SIGKILL to all its processes if that does not help."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None

    @property
    def pids(self) -> list[int]:
        """Its processes."""
        return processes.family(self.process.pid) if self.process else []

    def ask(self, method: str, path: str, body: Any = None, token: str = "") -> tuple[int, Any]:
        """One request on a connection of its own: the status and what the JSON says."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=START_SECONDS)
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        finally:
            connection.close()

    def log_in(self) -> str:
        """An access token of the one user, who is registered if need be."""
        account = {"email": EMAIL, "password": PASSWORD}
        self.ask("POST", "/v1/auth/register", account)
        status, tokens = self.ask("POST", "/v1/auth/login", account)
        if status != 200:
            raise RuntimeError(f"the service does not let the benchmark in: {status} {tokens}")
        token: str = tokens["access_token"]
        return token

    def items(self, token: str, count: int) -> tuple[list[tuple[str, str]], str]:
        """The newest `count` items' ids and ETags, and the cursor behind them, ready for a URL."""
        found: list[tuple[str, str]] = []
        cursor = ""
        while len(found) < count:
            status, page = self.ask("GET", f"/v1/items/?limit=100{cursor and f'&cursor={cursor}'}", token=token)
            if status != 200:
                raise RuntimeError(f"the service does not list its items: {status} {page}")
            found += [(item["id"], f'"{item["version"]}"') for item in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = quote(page["next_cursor"], safe="")
        return found[:count], cursor
