"""Putting another file in the place of a SQLite database, while nobody has it open; the old one stays beside it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from core.operations.backup.durable import put_on_disk
from core.operations.backup.failures import BackupError

# https://www.sqlite.org/fileformat.html#the_lock_byte_page: who has a database in WAL mode open keeps a shared lock on
# the bytes from the third of this page on.
SHARED_LOCKS_START = 0x40000000 + 2
SHARED_LOCKS_BYTES = 510
COMPANIONS = ("-wal", "-shm")


@contextmanager
def held_exclusively(database: Path) -> Iterator[None]:
    """Keeps everybody else out of the file. Raises BackupError if a process has it open.

    By SQLite's lock itself and not through SQLite, which would refuse a damaged file, and change a sound one.
    """
    with database.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, SHARED_LOCKS_BYTES, SHARED_LOCKS_START)
        except OSError:
            raise BackupError(f"{database} is in use: end the service first, all of its processes") from None
        yield


def set_aside(database: Path, aside: Path) -> None:
    """Moves a database with whatever belongs to it. The name of its own file is the first to be free."""
    database.rename(aside)
    for suffix in COMPANIONS:
        with suppress(FileNotFoundError):
            _beside(database, suffix).rename(_beside(aside, suffix))
    put_on_disk(database.parent)


def put_in_place(new: Path, database: Path) -> None:
    """Gives a file that is whole the database's name. It belongs to whom the folder belongs to, as far as may be."""
    for suffix in COMPANIONS:
        # Of a database whose own file is gone already: applied to another file, they would damage it.
        if _beside(database, suffix).exists():
            raise BackupError(f"{_beside(database, suffix)} is left of another database: move it away first")
    owner = database.parent.stat()
    with suppress(PermissionError):
        os.chown(new, owner.st_uid, owner.st_gid)
    new.rename(database)
    put_on_disk(database.parent)


def _beside(file: Path, suffix: str) -> Path:
    return file.with_name(file.name + suffix)
