"""The folder of backups: names, order, retention, and the lock against a second backup."""

import fcntl
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from pathlib import Path

from core.operations.backup.durable import create_private, put_on_disk
from core.operations.backup.failures import BackupError
from core.operations.backup.manifest import Manifest

SUFFIXES = {"sqlite": ".sqlite3", "postgresql": ".dump"}
PARTIAL = ".partial"
# A number distinguishes several backups within a second.
NAME = re.compile(r"agent-router-\d{8}T\d{6}Z(-\d+)?\.(sqlite3|dump)")


@dataclass(frozen=True, slots=True)
class Backup:
    """A finished backup: its data, and the manifest beside it."""

    data: Path
    manifest: Manifest

    @classmethod
    def at(cls, path: Path) -> "Backup":
        """Return the backup with this data or manifest file. Raises BackupError if a file is missing or invalid."""
        data = path.with_suffix("") if path.suffix == ".json" else path
        if not data.is_file():
            raise BackupError(f"there is no backup {data}")
        return cls(data, Manifest.read(manifest_path(data)))


def manifest_path(data: Path) -> Path:
    return data.with_name(data.name + ".json")


def new_name(engine: str, moment: datetime, folder: Path) -> str:
    stem, suffix = f"agent-router-{moment:%Y%m%dT%H%M%SZ}", SUFFIXES[engine]
    name, number = stem + suffix, 1
    while (folder / name).exists():
        number += 1
        name = f"{stem}-{number}{suffix}"
    return name


def finished(folder: Path) -> list[Backup]:
    """Return the folder's finished backups, oldest first. Ignores other files."""
    names = [file.name for file in folder.iterdir() if NAME.fullmatch(file.name)]
    backups = [Backup.at(folder / name) for name in sorted(names) if manifest_path(folder / name).exists()]
    return sorted(backups, key=attrgetter("manifest.created_at"))


def newest(folder: Path) -> Backup:
    """Return the newest finished backup. Raises BackupError if there is none."""
    if not folder.is_dir() or not (backups := finished(folder)):
        raise BackupError(f"there is no finished backup in {folder}")
    return backups[-1]


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Create the folder if necessary, lock it against a second backup, and delete interrupted backups."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise BackupError(f"{folder} is not writable: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError(f"another backup to {folder} is running") from None
        for leftover in folder.glob(f"agent-router-*{PARTIAL}*"):
            leftover.unlink()
        yield


def finish(partial: Path, manifest: Manifest) -> Backup:
    """Rename a complete data file to its final name, then write its manifest."""
    data = partial.with_name(manifest.file)
    text = partial.with_name(manifest.file + PARTIAL + ".json")
    create_private(text)
    text.write_text(manifest.as_json(), encoding="utf-8")
    put_on_disk(text)
    partial.rename(data)
    text.rename(manifest_path(data))
    put_on_disk(data.parent)
    return Backup(data, manifest)


def keep_newest(folder: Path, engine: str, count: int) -> list[Path]:
    """Delete all but the `count` newest backups of an engine, and return the deleted data files."""
    backups = [backup.data for backup in finished(folder) if backup.manifest.engine == engine]
    surplus = backups[: max(0, len(backups) - count)]
    for data in surplus:
        # An interruption leaves a manifest without data, which is no backup.
        data.unlink()
        manifest_path(data).unlink()
    return surplus
