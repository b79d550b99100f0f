"""SQLite: copies a database while it is in use, and checks a copy."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from core.operations.backup.durable import put_on_disk
from core.operations.backup.failures import BackupError
from core.operations.backup.manifest import Contents

ENGINE = "sqlite"
BUSY_TIMEOUT_SECONDS = 30.0
MAX_FAULTS = 5


def copy_online(source: Path, target: Path) -> None:
    """Copy one state of the database into `target`, an empty file, and flush it to the disk. Raises BackupError."""
    if not source.is_file():
        raise BackupError(f"there is no database {source}")
    try:
        with closing(_open(source, "ro")) as live, closing(_open(target, "rw")) as copy:
            # A failed copy is deleted, so it needs no journal, and one flush at the end is enough.
            copy.execute("PRAGMA journal_mode=OFF")
            copy.execute("PRAGMA synchronous=OFF")
            # A single step blocks no writer in WAL mode, and sees no later writes.
            live.backup(copy, pages=-1)
            # The copy is a single file that does not change when it is opened.
            copy.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        raise BackupError(f"{source} could not be copied: {error}") from error
    put_on_disk(target)


def inspect(file: Path) -> Contents:
    """Check every page, index and reference of a copy, and return its contents. Raises BackupError."""
    try:
        with closing(_open(file, "ro")) as copy:
            _refuse_faults(file, copy)
            # Leaves out the search index, a virtual table: it cannot be counted, and is rebuilt if it is missing.
            tables = copy.execute(
                "SELECT name FROM pragma_table_list WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            )
            rows = {name: _count(copy, name) for (name,) in sorted(tables.fetchall())}
            if "django_migrations" not in rows:
                raise BackupError(f"{file} does not belong to this service: no migration was applied to it")
            applied = copy.execute("SELECT app || '.' || name FROM django_migrations ORDER BY id")
            migrations = [name for (name,) in applied]
    except sqlite3.Error as error:
        raise BackupError(f"{file} is damaged: {error}") from error
    return Contents(engine=ENGINE, engine_version=sqlite3.sqlite_version, migrations=migrations, rows=rows)


def empty_tables(file: Path, tables: Iterable[str]) -> None:
    """Delete all rows of some tables of a copy, and flush it to the disk. Raises BackupError."""
    try:
        with closing(_open(file, "rw")) as copy:
            for table in tables:
                copy.execute(f"DELETE FROM {_quoted(table)}")  # noqa: S608  # a name of ours
            copy.commit()
    except sqlite3.Error as error:
        raise BackupError(f"{file} cannot be changed: {error}") from error
    put_on_disk(file)


def _open(file: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.resolve().as_uri()}?mode={mode}", uri=True, timeout=BUSY_TIMEOUT_SECONDS)


def _refuse_faults(file: Path, copy: sqlite3.Connection) -> None:
    faults = [line for (line,) in copy.execute(f"PRAGMA integrity_check({MAX_FAULTS})") if line != "ok"]
    for table, row, parent, _ in copy.execute("PRAGMA foreign_key_check").fetchmany(MAX_FAULTS):
        faults.append(f"row {row} of {table} refers to a missing row of {parent}")
    if faults:
        raise BackupError(f"{file} is damaged: {'; '.join(faults[:MAX_FAULTS])}")


def _count(copy: sqlite3.Connection, table: str) -> int:
    [count] = copy.execute(f"SELECT count(*) FROM {_quoted(table)}").fetchone()  # noqa: S608  # from the schema
    return int(count)


def _quoted(table: str) -> str:
    return '"' + table.replace('"', '""') + '"'
