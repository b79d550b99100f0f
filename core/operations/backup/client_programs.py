"""Runs PostgreSQL's client programs: pg_dump, pg_restore, psql. Their arguments never contain the password."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import IO, Any

from django.db import connection
from psycopg.conninfo import make_conninfo
from psycopg.pq import Conninfo

from core.operations.backup.failures import BackupError

# Debian installs each version's programs in its own folder, outside of PATH.
FOLDERS = "/usr/lib/postgresql/*/bin"
PASSWORD = "password"  # noqa: S105  # the name of libpq's keyword


def program(name: str) -> str:
    """Return the path of a program: from PATH, or Debian's newest version. Raises BackupError if it is missing."""
    if found := shutil.which(name):
        return found
    programs = [file for file in Path("/").glob(f"{FOLDERS[1:]}/{name}") if os.access(file, os.X_OK)]
    if not programs:
        raise BackupError(f"{name} is not installed; install PostgreSQL's client (postgresql-client)")
    return str(max(programs, key=_major_version))


def _major_version(file: Path) -> float:
    version = file.parent.parent.name
    return float(version) if version.replace(".", "", 1).isdecimal() else 0.0


def connection_arguments() -> dict[str, Any]:
    """Return the configured database's connection parameters, by libpq's keywords."""
    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    parameters = connection.get_connection_params()
    return {name: value for name, value in parameters.items() if name in known and value is not None}


def target() -> str:
    """Return the configured database without the password, as an argument of a program."""
    return make_conninfo(**{name: value for name, value in connection_arguments().items() if name != PASSWORD})


def environment() -> dict[str, str]:
    password = connection_arguments().get(PASSWORD)
    return {**os.environ, **({"PGPASSWORD": str(password)} if password else {})}


def run(name: str, *arguments: str, stdout: int | IO[str] = subprocess.PIPE) -> str:
    """Run a program and return its output. Raises BackupError with its error output."""
    done = subprocess.run(  # noqa: S603  # a program found by name, arguments of our own
        [program(name), *arguments], env=environment(), stdout=stdout, stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise BackupError(f"{name} failed: {done.stderr.strip()}")
    return done.stdout or ""
