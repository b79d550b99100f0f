"""Backups: whether there is one, how old it is, and whether the next one can be made."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection

from core.operations.backup.client_programs import program
from core.operations.backup.failures import BackupError
from core.operations.backup.models import LastBackup
from core.operations.doctor import disk, sqlite_file
from core.operations.doctor.findings import Finding, error, info, ok, warning
from core.values import now

TOO_OLD = timedelta(hours=26)


def check() -> Iterator[Finding]:
    """In production, no backup is a warning."""
    yield from _last()
    if settings.BACKUP_DIR:
        yield from _folder(Path(settings.BACKUP_DIR))
    if connection.vendor == "postgresql":
        try:
            yield ok(f"pg_dump is {program('pg_dump')}")
        except BackupError as failure:
            yield info(f"No backup can be made from here: {failure}", "Fine if backups are made elsewhere")


def _last() -> Iterator[Finding]:
    if sqlite_file.missing():
        return
    make = warning if settings.IS_PRODUCTION else info
    remedy = "Run python manage.py backup once a day, and have a look at docs/deploy.md"
    try:
        last = LastBackup.objects.first()
    except DatabaseError:  # told under its own heading
        return
    if last is None:
        yield make("No backup was ever made by manage.py backup", remedy)
        return
    age = now() - last.created_at
    told = f"The last backup, {last.file}, is {age.total_seconds() / 3600:.1f} hours old"
    yield make(told, remedy) if age > TOO_OLD else ok(told)


def _folder(folder: Path) -> Iterator[Finding]:
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        probe = existing / ".doctor"
        probe.touch()
        probe.unlink()
    except OSError as failure:
        yield error(f"BACKUP_DIR cannot be written to: {failure.strerror}", f"Make {folder}, for the service's user")
        return
    database = Path(connection.settings_dict["NAME"])
    is_file = connection.vendor == "sqlite" and database.exists()
    if is_file and existing.stat().st_dev == database.stat().st_dev:
        yield info(
            "BACKUP_DIR is on the disk of the database, and would be lost with it",
            "Copy backups elsewhere, or have BACKUP_DIR on another disk",
        )
    yield from disk.room(existing, "backups", database.stat().st_size if is_file else 0)
