"""The service in a separate process with a separate database, for tests that need real HTTP."""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self

import httpx

from tests import databases, migrated_databases
from tests.ports import free_port

PROJECT = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0
STAFF_EMAIL, PASSWORD = "staff@example.org", "Sturdy-horse-battery-9"
STAFF_PASSWORD = PASSWORD
UVICORN_FLAGS = ("--no-server-header", "--no-proxy-headers", "--no-access-log")
INHERITED = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ", "TMPDIR") if name in os.environ}
# Variables that make a started process measure coverage.
MEASURED = {name: value for name, value in os.environ.items() if name.startswith("COV")}


class RunningService:
    """A context manager that migrates, creates one member of staff, and serves at `url`.

    `settings` are environment variables. Tests may stop, kill and restart the service on the same port.
    """

    project = PROJECT

    @property
    def command(self) -> tuple[str, ...]:
        """The arguments of Python that start the service."""
        return ("manage.py", "serve", "--host", "127.0.0.1", "--port", str(self.port), "--workers", str(self.workers))

    def __init__(self, folder: Path, *, workers: int = 1, **settings: str) -> None:
        self.folder, self.workers = folder, workers
        self.environment = {
            **INHERITED,
            "APP_ENV": "test",
            "DB_DSN": settings.get("DB_DSN") or databases.new_dsn(folder),
            "JWT_SECRET": secrets.token_hex(32),
            "REDIS_URL": "",
            "RATE_LIMIT": "1000000/minute",
            "RATE_LIMIT_AUTH": "1000000/minute",
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """The output of the process so far."""
        return (self.folder / "service.log").read_text(errors="replace")

    def log_lines(self) -> list[dict[str, Any]]:
        """The JSON lines of the output."""
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Return rows of the service's database; see `databases.query`."""
        return databases.query(self.environment["DB_DSN"], statement, *parameters)

    def stored(self) -> bytes:
        """Return everything in the service's database, to search for data that must not be there."""
        return databases.everything_in(self.environment["DB_DSN"])

    def manage(self, *arguments: str, check: bool = True, **environment: Any) -> subprocess.CompletedProcess[str]:
        """Run a command of manage.py with the service's settings; fail with its output."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=self.project,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def __enter__(self) -> Self:
        self.prepare_database()
        self.start()
        return self

    def prepare_database(self) -> None:
        """Create the tables and one member of staff."""
        if self.project == PROJECT and "DB_BEHIND_PGBOUNCER" not in self.environment:
            # Other services copy this database, so this service's settings must not affect the tables.
            plain = RunningService(self.folder, DB_DSN=self.environment["DB_DSN"])
            migrated_databases.migrate(self.environment["DB_DSN"], plain._migrate)
        else:
            self._migrate()

    def _migrate(self) -> None:
        self.manage("migrate", "--verbosity=0")
        staff: dict[str, Any] = {"DJANGO_SUPERUSER_EMAIL": STAFF_EMAIL, "DJANGO_SUPERUSER_PASSWORD": STAFF_PASSWORD}
        self.manage("createsuperuser", "--no-input", **staff)

    def __exit__(self, *_: object) -> None:
        self.stop()

    def boot(self) -> subprocess.Popen[bytes]:
        """Start the server, and return before it is ready."""
        command = [sys.executable, *self.command]
        with (self.folder / "service.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.project, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        return self.process

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        process = self.boot()
        deadline = time.monotonic() + START_SECONDS
        while True:
            connection = HTTPConnection("127.0.0.1", self.port, timeout=START_SECONDS)
            try:
                connection.request("GET", "/health/live")
                assert connection.getresponse().status == 200, self.log
                return
            except OSError:
                assert process.poll() is None, self.log
                assert time.monotonic() < deadline, self.log
                time.sleep(0.05)
            finally:
                connection.close()

    def stop(self) -> int | None:
        """Send SIGTERM, wait, and return the exit code."""
        if self.process is None:
            return None
        self.process.terminate()
        code = self.process.wait(START_SECONDS)
        self.process = None
        return code

    def kill(self) -> None:
        """Send SIGKILL to all processes of the service."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
            self._await_free_port()

    def _await_free_port(self) -> None:
        """Wait for the workers: they may release the port a moment after their parent has ended."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", self.port))
                    probe.listen()
                except OSError:
                    assert time.monotonic() < deadline, "the port stays taken"
                    time.sleep(0.01)
                else:
                    return

    def client(self, **options: Any) -> httpx.Client:
        """Return an HTTP client without credentials."""
        return httpx.Client(**{"base_url": self.url, "timeout": 30, "trust_env": False, **options})

    def user(self, **options: Any) -> httpx.Client:
        """Register a user and return a client logged in as that user, with `client.email` and `client.tokens`."""
        email = f"{secrets.token_hex(8)}@example.org"
        with self.client() as anonymous:
            made = anonymous.post("/v1/auth/register", json={"email": email, "password": PASSWORD})
            assert made.status_code == 201, made.text
        return self.log_in(email, PASSWORD, **options)

    def staff(self, **options: Any) -> httpx.Client:
        """Return a client logged in as the member of staff."""
        return self.log_in(STAFF_EMAIL, STAFF_PASSWORD, **options)

    def log_in(self, email: str, password: str, **options: Any) -> httpx.Client:
        """Return a client with a new session."""
        client = self.client(**options)
        answer = client.post("/v1/auth/login", json={"email": email, "password": password})
        assert answer.status_code == 200, answer.text
        tokens = answer.json()
        client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        client.email, client.tokens = email, tokens  # type: ignore[attr-defined]
        return client
