"""Errors of manage.py when the database is unavailable or not migrated."""

import os
import subprocess
import sys
from pathlib import Path

from django.db import IntegrityError

from core.database.failures import operator_advice

ROOT = Path(__file__).resolve().parent.parent
UNREACHABLE = "postgresql://me:rather-secret@127.0.0.1:1/app"


def manage(*arguments: str, dsn: str) -> subprocess.CompletedProcess[str]:
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment |= {"DB_DSN": dsn, "JWT_SECRET": "a-secret-of-these-tests-that-nobody-else-has", "REDIS_URL": ""}
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_database_without_migrations_is_reported(tmp_path: Path) -> None:
    done = manage("purge_expired", dsn=f"sqlite:///{tmp_path}/new.db")
    assert done.returncode == 1
    assert "not up to date (no such table: " in done.stderr
    assert "run python manage.py migrate" in done.stderr
    assert "Traceback" not in done.stderr


def test_unreachable_database_is_reported() -> None:
    done = manage("migrate", dsn=UNREACHABLE)
    assert done.returncode == 1
    assert "The database that DB_DSN names can't be used: " in done.stderr
    assert "Traceback" not in done.stderr
    assert "rather-secret" not in done.stderr


def test_bug_keeps_its_traceback() -> None:
    assert operator_advice(IntegrityError("UNIQUE constraint failed")) is None
