"""SQLite: library version, connection settings, integrity, WAL file, folder."""

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from django.db import OperationalError, connection

from core.database.sqlite.options import PRAGMAS
from core.operations.doctor import disk
from core.operations.doctor.findings import Finding, error, info, ok, warning
from core.operations.doctor.workers import count_workers

# https://www.sqlite.org/wal.html#walresetbug
WAL_RESET_FIXED_IN = (3, 51, 3)
LARGE_WAL_BYTES = 256 * 1024 * 1024
QUICK_CHECK_SECONDS = 30.0
PROGRESS_STEPS = 100_000
# The answers of PRAGMA for values that are set as words.
NUMBERS = {"FULL": "2", "ON": "1", "MEMORY": "2", "WAL": "wal"}


def missing() -> Path | None:
    """Return the path of a SQLite database that does not exist. Connecting would create it, perhaps as another user."""
    file = Path(connection.settings_dict["NAME"])
    return file if connection.vendor == "sqlite" and not file.exists() else None


def check() -> Iterator[Finding]:
    file = Path(connection.settings_dict["NAME"])
    yield from _library()
    yield from _pragmas()
    yield from _integrity()
    yield from _wal(file)
    yield from _location(file)
    yield from disk.room(file.parent, "the database")


def _library() -> Iterator[Finding]:
    if sqlite3.sqlite_version_info >= WAL_RESET_FIXED_IN:
        return
    message = (
        f"SQLite {sqlite3.sqlite_version} has a rare bug (WAL reset) that can damage the file when two processes "
        f"write and checkpoint at the same moment; {'.'.join(map(str, WAL_RESET_FIXED_IN))} fixes it"
    )
    if count_workers() > 1:
        yield warning(message, "Run one worker (WORKERS=1), PostgreSQL, or a Python with a newer SQLite")
    else:
        yield info(message, "Keep a single worker: its only writer is also the only one to checkpoint")


def _pragmas() -> Iterator[Finding]:
    wrong = []
    with connection.cursor() as cursor:
        for name, value in PRAGMAS.items():
            found = str(cursor.execute(f"PRAGMA {name}").fetchone()[0])
            if found != NUMBERS.get(value, value):
                wrong.append(f"{name} is {found} instead of {value}")
    if wrong:
        yield error(
            f"Connections have wrong settings: {', '.join(wrong)}",
            "Check that the file system supports shared memory, and that the folder is writable",
        )
    else:
        yield ok("Connections have safe settings: WAL, synchronous=FULL, foreign keys")


def _integrity() -> Iterator[Finding]:
    # A true result of the handler interrupts the query.
    is_late = partial(_is_past, time.monotonic() + QUICK_CHECK_SECONDS)
    connection.connection.set_progress_handler(is_late, PROGRESS_STEPS)
    try:
        faults = _find_faults()
    except OperationalError as failure:
        if "interrupted" not in str(failure):
            raise
        yield info(
            f"Checking the large file takes over {QUICK_CHECK_SECONDS:.0f} s, so it was not checked",
            "Check a backup instead: python manage.py backup; python manage.py verify",
        )
    else:
        if faults:
            yield error(f"The file is damaged: {'; '.join(faults)}", "Restore a backup: see docs/runbook.md")
        else:
            yield ok("The file's pages, indexes and references are intact")
    finally:
        connection.connection.set_progress_handler(None, 0)


def _is_past(moment: float) -> bool:
    return time.monotonic() > moment


def _find_faults() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA quick_check(5)")
        faults = [line for (line,) in cursor.fetchall() if line != "ok"]
        cursor.execute("PRAGMA foreign_key_check")
        dangling = [f"a row of {table} refers to a missing row" for table, *_ in cursor.fetchmany(5)]
    return faults + dangling


def _wal(file: Path) -> Iterator[Finding]:
    wal = file.with_name(file.name + "-wal")
    size = wal.stat().st_size if wal.exists() else 0
    if size > LARGE_WAL_BYTES:
        yield warning(
            f"{wal} has grown to {size // disk.MIB} MiB: no process checkpoints, or a reader stays open too long",
            f"Check that the service runs, and find the process that holds the file: fuser -v {file}",
        )


def _location(file: Path) -> Iterator[Finding]:
    if kind := disk.network_type(file):
        yield error(
            f"{file} is on a network file system ({kind}), where SQLite's WAL mode damages the file",
            "Move it to a local disk, or use PostgreSQL",
        )
    if not os.access(file.parent, os.W_OK):
        yield error(
            f"{file.parent} is not writable, but SQLite creates its WAL file there",
            f"Give the folder to the service's user (uid {os.geteuid()})",
        )
    if stat.S_IMODE(file.stat().st_mode) & 0o007 and stat.S_IMODE(file.parent.stat().st_mode) & 0o001:
        yield warning(f"All users of this machine can read {file}", f"chmod 600 {file}; chmod 700 {file.parent}")
