"""PostgreSQL's own programs: pg_dump, pg_restore, psql. No password ever goes into their arguments."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from django.db import connection

from core.operations.backup.failures import BackupError

# Debian keeps those of each version in a folder of its own.
FOLDERS = "/usr/lib/postgresql/*/bin"
PASSWORD = "password"  # noqa: S105  # the name of libpq's keyword


def program(name: str) -> str:
    """The path of a client program: PATH's, else the newest that Debian has put elsewhere. Raises BackupError."""
    found = shutil.which(name)
    if found is None:
        others = [file for file in Path("/").glob(f"{FOLDERS[1:]}/{name}") if os.access(file, os.X_OK)]
        found = str(max(others, key=_major_version)) if others else None
    if found is None:
        raise BackupError(f"{name} is not installed: it comes with PostgreSQL's client (postgresql-client)")
    return found


def _major_version(file: Path) -> float:
    version = file.parent.parent.name
    return float(version) if version.replace(".", "", 1).isdecimal() else 0.0


def connection_arguments() -> dict[str, Any]:
    """libpq's keywords of the configured database."""
    from psycopg.pq import Conninfo

    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    return {
        name: value for name, value in connection.get_connection_params().items() if name in known and value is not None
    }


def target() -> str:
    """The database as an argument of a program: everything but the password."""
    from psycopg.conninfo import make_conninfo

    return make_conninfo(**{name: value for name, value in connection_arguments().items() if name != PASSWORD})


def environment() -> dict[str, str]:
    """The environment of a program, with the password in it."""
    password = connection_arguments().get(PASSWORD)
    return {**os.environ, **({"PGPASSWORD": str(password)} if password else {})}


def run(name: str, *arguments: str) -> str:
    """Runs a program to its end and returns what it wrote. Raises BackupError with what it said."""
    done = subprocess.run(  # noqa: S603  # a program found by name, arguments of our own
        [program(name), *arguments], env=environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BackupError(f"{name} failed: {done.stderr.strip()}")
    return done.stdout
