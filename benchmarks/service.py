"""The service in its own process, as in production."""

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
    """The service with every optional step of a request enabled. Its log is in `folder`. Settings can be overridden."""

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
        command = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
        subprocess.run(command, cwd=PROJECT, env=self.environment, check=True)

    def start(self, workers: int = 1) -> None:
        """Start the service on a new port and wait until it is ready. The access log is discarded."""
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
            return self.send("GET", "/health/ready")[0] == 200
        except OSError:
            return False

    def stop(self) -> None:
        """Stop the service with SIGTERM, or kill all its processes if it does not end."""
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
        return processes.family(self.process.pid) if self.process else []

    def send(self, method: str, path: str, body: Any = None, token: str = "") -> tuple[int, Any]:
        """Send a request over a new connection. Return the status and the JSON of the response."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=START_SECONDS)
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read() or b"null")
        finally:
            connection.close()

    def log_in(self) -> str:
        """Return an access token of the user, who is registered if necessary."""
        account = {"email": EMAIL, "password": PASSWORD}
        self.send("POST", "/v1/auth/register", account)
        status, tokens = self.send("POST", "/v1/auth/login", account)
        if status != 200:
            raise RuntimeError(f"the benchmark cannot log in: {status} {tokens}")
        token: str = tokens["access_token"]
        return token

    def items(self, token: str, count: int) -> tuple[list[tuple[str, str]], str]:
        """Return the ids and ETags of the newest `count` items, and the quoted cursor after them."""
        found: list[tuple[str, str]] = []
        cursor = ""
        while len(found) < count:
            status, page = self.send("GET", f"/v1/items/?limit=100{cursor and f'&cursor={cursor}'}", token=token)
            if status != 200:
                raise RuntimeError(f"the items cannot be listed: {status} {page}")
            found += [(item["id"], f'"{item["version"]}"') for item in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = quote(page["next_cursor"], safe="")
        return found[:count], cursor
