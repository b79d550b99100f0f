"""SQLite: replaces the file of a database that no process has open. The old file stays beside the new file."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from core.operations.backup.durable import put_on_disk
from core.operations.backup.failures import BackupError

# https://www.sqlite.org/fileformat.html#the_lock_byte_page: each connection to a database in WAL mode holds a shared
# lock on these bytes.
SHARED_LOCKS_START = 0x40000000 + 2
SHARED_LOCKS_BYTES = 510
COMPANIONS = ("-wal", "-shm")


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Lock the database file. Raises BackupError if a process has it open."""
    # SQLite itself would refuse to lock a damaged file, and would change an intact file.
    with database.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, SHARED_LOCKS_BYTES, SHARED_LOCKS_START)
        except OSError:
            raise BackupError(f"{database} is in use. Stop all processes of the service first") from None
        yield


def set_aside(database: Path, aside: Path) -> None:
    database.rename(aside)
    for suffix in COMPANIONS:
        with suppress(FileNotFoundError):
            _beside(database, suffix).rename(_beside(aside, suffix))
    put_on_disk(database.parent)


def put_in_place(new: Path, database: Path) -> None:
    """Rename a complete file to the database's name, and give it the folder's owner if permitted."""
    for companion in (_beside(database, suffix) for suffix in COMPANIONS):
        # SQLite would apply the log to the new file, and damage it.
        if companion.exists():
            raise BackupError(f"{companion} belongs to another database. Move it away first")
    owner = database.parent.stat()
    with suppress(PermissionError):
        os.chown(new, owner.st_uid, owner.st_gid)
    new.rename(database)
    put_on_disk(database.parent)


def _beside(file: Path, suffix: str) -> Path:
    return file.with_name(file.name + suffix)
