"""Migrate one database per test process, and copy it for every other one, because migrations take seconds."""

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
    """Migrate a database. `run` migrates the first empty database of its kind. Later empty ones become copies."""
    if dsn.startswith("sqlite:////") and not _file(dsn).exists():
        _copy_sqlite(dsn, run)
    elif dsn.startswith("postgresql://") and binary_folder() is not None and _is_empty(dsn):
        _copy_postgres(dsn, run)
    else:
        run()


def _copy_sqlite(dsn: str, run: Migrate) -> None:
    template = _folder() / "migrated.db"
    if template.exists():
        shutil.copyfile(template, _file(dsn))
        return
    run()
    # SQLite's backup includes the changes that are still in the write-ahead log.
    with closing(sqlite3.connect(_file(dsn))) as migrated, closing(sqlite3.connect(template)) as copy:
        migrated.backup(copy)


def _copy_postgres(dsn: str, run: Migrate) -> None:
    template = _folder() / "migrated.sql"
    if template.exists():
        _run("psql", "--dbname", dsn, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file", str(template))
        return
    run()
    _run("pg_dump", "--dbname", dsn, "--no-owner", "--no-privileges", "--no-comments", "--file", str(template))


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
