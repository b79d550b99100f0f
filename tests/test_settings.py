"""The settings, each time in a new process: invalid settings, and unsafe settings in production, end the start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from uvicorn.config import STARTUP_FAILURE

from core.environment import WORKER_CANNOT_START

ROOT = Path(__file__).resolve().parent.parent
SECRET = "a-secret-of-these-tests-that-nobody-else-has"


def load(tmp_path: Path, *, show: str = "", **variables: str | None) -> subprocess.CompletedProcess[str]:
    """Import the settings with only these variables; `show` is an expression to print."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    environment |= {"JWT_SECRET": SECRET, "DB_DSN": f"sqlite:///{tmp_path}/app.db"}
    given = {name: value for name, value in (environment | variables).items() if value is not None}
    code = "from agent_router import settings" + (f"; print(repr({show}))" if show else "")
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=given, capture_output=True, text=True, check=False
    )


def value(tmp_path: Path, show: str, **variables: str | None) -> str:
    done = load(tmp_path, show=show, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def refusal(tmp_path: Path, **variables: str | None) -> str:
    done = load(tmp_path, show="", **variables)
    assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stderr
    return done.stderr


def test_secret_is_the_only_required_setting(tmp_path: Path) -> None:
    shown = "(settings.APP_ENV, settings.DEBUG, settings.REDIS_URL, settings.ALLOWED_HOSTS)"
    expected = ("development", False, "redis://localhost:6379/0", ["localhost", "127.0.0.1", "[::1]"])
    assert value(tmp_path, shown) == repr(expected)


def test_one_message_reports_all_errors(tmp_path: Path) -> None:
    secret = "hunter2-hunter2"
    wrong = {
        "APP_ENV": "prod",
        "DEBUG": "maybe",
        "ALLOWED_HOSTS": "localhost",
        "CORS_ORIGINS": '["http://localhost:3000/path"]',
        "TRUSTED_PROXIES": "300.1.2.3/8",
        "MAX_BODY_BYTES": "-5",
        "BODY_TIMEOUT_SECONDS": "0",
        "DB_DSN": f"mysql://me:{secret}@localhost/app",
        "DB_POOL_SIZE": "many",
        "REDIS_URL": f"http://:{secret}@localhost",
        "REDIS_REQUIRED": "perhaps",
        "JWT_SECRET": secret,
        "JWT_SECRET_PREVIOUS": secret,
        "ACCESS_TOKEN_TTL": "soon",
        "ARGON2_MEMORY_KIB": "8",
        "RATE_LIMIT": "5/fortnight",
        "RATE_LIMIT_AUTH": "-1/minute",
        "RATE_LIMIT_ROUTES": '{"POST /v1/items/": "many"}',
        "LOG_LEVEL": "LOUD",
        "LOG_FORMAT": "xml",
        "ENV_FILE": "/nowhere/some.env",
    }
    message = refusal(tmp_path, **wrong)
    assert {line.strip().partition(":")[0] for line in message.splitlines() if line.startswith("  ")} == set(wrong)
    assert secret not in message


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("JWT_SECRET", None),
        ("JWT_SECRET", ""),
        ("JWT_SECRET", "Sh0rt-secret-of-31-bytes-012345"),
        ("JWT_SECRET", "change-me-to-a-secret-of-at-least-32-bytes"),
        ("JWT_SECRET_PREVIOUS", "change-me-to-a-secret-of-at-least-32-bytes"),
        ("DEBUG", "true"),
        ("ALLOWED_HOSTS", '["*"]'),
        ("ALLOWED_HOSTS", '["api.example", "*"]'),
        ("CORS_ORIGINS", '["*"]'),
    ],
)
def test_unsafe_production_is_refused(tmp_path: Path, name: str, setting: str | None) -> None:
    message = refusal(tmp_path, APP_ENV="production", **{name: setting})
    assert f"  {name}: " in message
    assert "Sh0rt" not in message
    assert "change-me" not in message


def test_safe_production_starts(tmp_path: Path) -> None:
    safe = {"APP_ENV": "production", "ALLOWED_HOSTS": '["api.example"]', "CORS_ORIGINS": "[]"}
    shown = "(settings.IS_PRODUCTION, settings.SESSION_COOKIE_SECURE, settings.CSRF_COOKIE_SECURE)"
    assert value(tmp_path, shown, **safe) == "(True, True, True)"


def test_secret_of_32_bytes_is_long_enough_in_any_script(tmp_path: Path) -> None:
    assert value(tmp_path, "settings.JWT_SECRET", JWT_SECRET="é" * 16) == repr("é" * 16)
    assert value(tmp_path, "settings.JWT_SECRET", JWT_SECRET="$" * 32) == repr("$" * 32)


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+aiosqlite"])
def test_sqlalchemy_dsn_is_accepted(tmp_path: Path, scheme: str) -> None:
    shown = "settings.DATABASES['default']['NAME'], settings.DB_POOL_SIZE"
    found = value(tmp_path, f"({shown})", DB_DSN=f"{scheme}:///{tmp_path}/some.db")
    assert found == repr((f"{tmp_path}/some.db", 4))


def test_postgresql_has_a_larger_default_pool(tmp_path: Path) -> None:
    shown = "(settings.DATABASES['default']['HOST'], settings.DB_POOL_SIZE)"
    assert value(tmp_path, shown, DB_DSN="postgresql+asyncpg://me:pw@db/app") == repr(("db", 8))


def test_replicas_need_postgresql(tmp_path: Path) -> None:
    replica = "postgresql://me:rather-secret@db/app"
    message = refusal(tmp_path, DB_REPLICA_DSN=replica)
    assert "  DB_REPLICA_DSN: works with PostgreSQL only, and DB_DSN names a SQLite file: leave it empty" in message
    assert "rather-secret" not in message
    shown = "[one['HOST'] for one in settings.DB_REPLICAS]"
    assert value(tmp_path, shown, DB_DSN="postgresql://primary/app", DB_REPLICA_DSN=replica) == "['db']"


def test_environment_takes_precedence_over_env_file(tmp_path: Path) -> None:
    file = tmp_path / "some.env"
    file.write_text("JWT_SECRET='" + "f" * 32 + "'\nAPP_NAME=from the file\nLOG_LEVEL=DEBUG\n")
    shown = "(settings.JWT_SECRET, settings.APP_NAME, settings.LOG_LEVEL)"
    found = value(tmp_path, shown, JWT_SECRET=None, LOG_LEVEL="ERROR", ENV_FILE=str(file))
    assert found == repr(("f" * 32, "from the file", "ERROR"))


@pytest.mark.parametrize("command", [["manage.py", "check"], ["-m", "uvicorn", "agent_router.asgi:application"]])
def test_invalid_settings_end_every_command_with_exit_code_1(tmp_path: Path, command: list[str]) -> None:
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment |= {"DB_DSN": f"sqlite:///{tmp_path}/app.db", "RATE_LIMIT": "lots"}
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "JWT_SECRET: is required" in done.stderr
    assert "RATE_LIMIT: " in done.stderr
    assert "Traceback" not in done.stderr


def test_limit_on_an_unknown_route_ends_the_start(tmp_path: Path) -> None:
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment |= {"DB_DSN": f"sqlite:///{tmp_path}/app.db", "JWT_SECRET": SECRET}
    environment["RATE_LIMIT_ROUTES"] = '{"POST /v1/item/": "1/minute", "POST /v1/items/": "1/minute"}'
    command = [sys.executable, "-c", "import agent_router.asgi"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1, done.stderr
    assert "  RATE_LIMIT_ROUTES: there is no route POST /v1/item\n" in done.stderr


def test_invalid_settings_end_all_workers_and_their_supervisor(tmp_path: Path) -> None:
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment |= {"DB_DSN": f"sqlite:///{tmp_path}/app.db", "RATE_LIMIT": "lots", "JWT_SECRET": SECRET}
    command = [sys.executable, "-m", "uvicorn", "agent_router.asgi:application", "--workers", "2", "--port", "0"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )  # fmt: skip
    assert 1 <= done.stderr.count("  RATE_LIMIT: ") <= 2
    assert "stopping the parent process" in done.stderr
    assert "Traceback" not in done.stderr
    assert STARTUP_FAILURE == WORKER_CANNOT_START
