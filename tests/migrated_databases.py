"""Migrations take seconds and coverage's time: they run once for each test process, every other database is a copy."""

import atexit
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path

from tests import databases
from tests.postgres_server import binary_folder

type Migrate = Callable[[], None]


def migrate(dsn: str, run: Migrate) -> None:
    """Fills an empty database: `run` migrates the first one of its kind. One that holds something is migrated."""
    if dsn.startswith("sqlite:////") and not _file(dsn).exists():
        _copy_sqlite(dsn, run)
    elif dsn.startswith("postgresql://") and binary_folder() is not None and _is_empty(dsn):
        _copy_postgres(dsn, run)
    else:
        run()


def _copy_sqlite(dsn: str, run: Migrate) -> None:
    kept = _folder() / "migrated.db"
    if kept.exists():
        shutil.copyfile(kept, _file(dsn))
        return
    run()
    # By SQLite itself, for what is still in the file beside it.
    with closing(sqlite3.connect(_file(dsn))) as migrated, closing(sqlite3.connect(kept)) as copy:
        migrated.backup(copy)


def _copy_postgres(dsn: str, run: Migrate) -> None:
    kept = _folder() / "migrated.sql"
    if kept.exists():
        _run("psql", "--dbname", dsn, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file", str(kept))
        return
    run()
    _run("pg_dump", "--dbname", dsn, "--no-owner", "--no-privileges", "--no-comments", "--file", str(kept))


def _file(dsn: str) -> Path:
    return Path(dsn.removeprefix("sqlite:///"))


def _is_empty(dsn: str) -> bool:
    return databases.query(dsn, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="agent-router-migrated-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _run(program: str, *arguments: str) -> None:
    binaries = binary_folder()
    assert binaries is not None
    command = [str(binaries / program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]})
    assert done.returncode == 0, done.stderr
