"""SQLite: the library, how connections are set up, the file, its log and its folder."""

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from django.db import OperationalError, connection

from core.database.sqlite.options import PRAGMAS
from core.operations.doctor import disk
from core.operations.doctor.findings import Finding, error, info, ok, warning
from core.operations.doctor.workers import count_workers

# https://www.sqlite.org/wal.html#walresetbug
WAL_RESET_MENDED_IN = (3, 51, 3)
LARGE_LOG_BYTES = 256 * 1024 * 1024
QUICK_CHECK_SECONDS = 30.0
# What PRAGMA answers for what it was told in words.
NUMBERS = {"FULL": "2", "ON": "1", "MEMORY": "2", "WAL": "wal"}


def missing() -> Path | None:
    """The file, if the database is SQLite's and there is none. To connect would make it, and whoever asks its owner."""
    file = Path(connection.settings_dict["NAME"])
    return file if connection.vendor == "sqlite" and not file.exists() else None


def check() -> Iterator[Finding]:
    """Needs an open connection."""
    file = Path(connection.settings_dict["NAME"])
    yield from _library()
    yield from _pragmas()
    yield from _soundness()
    yield from _log(file)
    yield from _place(file)
    yield from disk.room(file.parent, "the database")


def _library() -> Iterator[Finding]:
    if sqlite3.sqlite_version_info >= WAL_RESET_MENDED_IN:
        return
    message = (
        f"SQLite {sqlite3.sqlite_version} has a rare race (WAL reset) that can damage the file when two processes "
        f"write and checkpoint at the same moment; {'.'.join(map(str, WAL_RESET_MENDED_IN))} mends it"
    )
    if count_workers() > 1:
        yield warning(message, "Run one worker (WORKERS=1), PostgreSQL, or a Python with a newer SQLite")
    else:
        yield info(message, "One worker has one writer, which alone checkpoints: keep it at that")


def _pragmas() -> Iterator[Finding]:
    wrong = []
    with connection.cursor() as cursor:
        for name, value in PRAGMAS.items():
            found = str(cursor.execute(f"PRAGMA {name}").fetchone()[0])
            if found != NUMBERS.get(value, value):
                wrong.append(f"{name} is {found} in place of {value}")
    if wrong:
        yield error(
            f"Connections are not set up as they should be: {', '.join(wrong)}",
            "Is the file system one that has shared memory, and the folder writable?",
        )
    else:
        yield ok("Connections are set up for safety: WAL, synchronous=FULL, foreign keys")


def _soundness() -> Iterator[Finding]:
    connection.ensure_connection()
    deadline = time.monotonic() + QUICK_CHECK_SECONDS
    # Called every so many steps of SQLite's machine; true interrupts.
    connection.connection.set_progress_handler(lambda: time.monotonic() > deadline, 100_000)
    try:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA quick_check(5)")
            faults = [line for (line,) in cursor.fetchall() if line != "ok"]
            cursor.execute("PRAGMA foreign_key_check")
            faults += [f"a row of {row[0]} refers to nothing" for row in cursor.fetchmany(5)]
    except OperationalError as failure:
        if "interrupted" not in str(failure):
            raise
        yield info(
            f"The file is too large to be looked through in {QUICK_CHECK_SECONDS:.0f} s",
            "Have a backup looked through: python manage.py backup; python manage.py verify",
        )
    else:
        if faults:
            yield error(f"The file is damaged: {'; '.join(faults)}", "Restore a backup: see docs/runbook.md")
        else:
            yield ok("Its pages, indexes and references are in order")
    finally:
        connection.connection.set_progress_handler(None, 0)


def _log(file: Path) -> Iterator[Finding]:
    log = file.with_name(file.name + "-wal")
    size = log.stat().st_size if log.exists() else 0
    if size > LARGE_LOG_BYTES:
        yield warning(
            f"{log} has grown to {size // disk.MIB} MiB: nobody checkpoints, or a reader stays too long",
            "Is the service running? Find the process that holds the file: fuser -v " + str(file),
        )


def _place(file: Path) -> Iterator[Finding]:
    if kind := disk.network_type(file):
        yield error(
            f"{file} is on a network file system ({kind}): SQLite's log does not work there, and damages the file",
            "Move it to a local disk, or use PostgreSQL",
        )
    if not os.access(file.parent, os.W_OK):
        yield error(
            f"{file.parent} is not writable: SQLite keeps its log there",
            f"Give it to the service's user (number {os.geteuid()})",
        )
    if stat.S_IMODE(file.stat().st_mode) & 0o007 and stat.S_IMODE(file.parent.stat().st_mode) & 0o001:
        yield warning(f"Everybody on this machine may read {file}", f"chmod 600 {file}; chmod 700 {file.parent}")
