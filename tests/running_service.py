"""The service as a process of its own, over a database of its own, for tests that need real HTTP."""

import os
import secrets
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Self

PROJECT = Path(__file__).resolve().parent.parent
START_SECONDS = 30.0
STAFF_EMAIL, STAFF_PASSWORD = "staff@example.org", "Sturdy-horse-battery-9"


class RunningService:
    """Migrated, with one member of staff, and answering from `url` once it is entered."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self._folder = folder
        self._environment = {
            **os.environ,
            "APP_ENV": "test",
            "DB_DSN": f"sqlite:///{folder / 'app.db'}",
            "JWT_SECRET": secrets.token_hex(32),
            "REDIS_URL": "",
            "RATE_LIMIT": "10000/minute",
            "RATE_LIMIT_AUTH": "10000/minute",
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What the process has written so far."""
        return (self._folder / "service.log").read_text()

    def manage(self, *arguments: str, **environment: str) -> None:
        """Runs a command of manage.py with the service's settings; a failure shows what it said."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command,
            cwd=PROJECT,
            env=self._environment | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def __enter__(self) -> Self:
        self.manage("migrate", "--verbosity=0")
        staff = {"DJANGO_SUPERUSER_EMAIL": STAFF_EMAIL, "DJANGO_SUPERUSER_PASSWORD": STAFF_PASSWORD}
        self.manage("createsuperuser", "--no-input", **staff)
        # The process inherits the socket, so that nobody can take the port in between.
        with socket.create_server(("127.0.0.1", 0)) as listener, (self._folder / "service.log").open("wb") as log:
            self.port = listener.getsockname()[1]
            command = [sys.executable, "-m", "uvicorn", "agent_router.asgi:application", "--fd", str(listener.fileno())]
            self._process = subprocess.Popen(
                [*command, "--no-server-header", "--no-proxy-headers", "--no-access-log"],
                cwd=PROJECT,
                env=self._environment,
                stdout=log,
                stderr=log,
                pass_fds=[listener.fileno()],
            )
        self._wait_until_live()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(START_SECONDS)

    def _wait_until_live(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while True:
            connection = HTTPConnection("127.0.0.1", self.port, timeout=START_SECONDS)
            try:
                connection.request("GET", "/health/live")
                assert connection.getresponse().status == 200, self.log
                return
            except OSError:
                assert self._process.poll() is None, self.log
                assert time.monotonic() < deadline, self.log
                time.sleep(0.05)
            finally:
                connection.close()
