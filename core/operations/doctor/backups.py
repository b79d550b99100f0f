"""Backups: the age of the last backup, and whether the next backup is possible."""

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

MAX_AGE = timedelta(hours=26)


def check() -> Iterator[Finding]:
    yield from _last_backup()
    if settings.BACKUP_DIR:
        yield from _folder(Path(settings.BACKUP_DIR))
    if connection.vendor == "postgresql":
        try:
            yield ok(f"pg_dump is {program('pg_dump')}")
        except BackupError as failure:
            yield info(f"This host cannot create backups: {failure}", "Ignore this if another host creates backups")


def _last_backup() -> Iterator[Finding]:
    if sqlite_file.missing():
        return
    problem = warning if settings.IS_PRODUCTION else info
    remedy = "Run python manage.py backup once a day; docs/deploy.md describes how"
    try:
        last = LastBackup.objects.first()
    except DatabaseError:  # the database check reports the error
        return
    if last is None:
        yield problem("manage.py backup was never run", remedy)
        return
    age = now() - last.created_at
    message = f"The last backup, {last.file}, is {age.total_seconds() / 3600:.1f} hours old"
    yield problem(message, remedy) if age > MAX_AGE else ok(message)


def _folder(folder: Path) -> Iterator[Finding]:
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        probe = existing / ".doctor"
        probe.touch()
        probe.unlink()
    except OSError as failure:
        yield error(f"BACKUP_DIR is not writable: {failure.strerror}", f"Make {folder} writable for the service's user")
        return
    database = Path(connection.settings_dict["NAME"])
    has_file = connection.vendor == "sqlite" and database.exists()
    if has_file and existing.stat().st_dev == database.stat().st_dev:
        yield info(
            "BACKUP_DIR is on the same disk as the database, so one disk failure loses both",
            "Copy backups to another place, or set BACKUP_DIR to a folder on another disk",
        )
    yield from disk.room(existing, "backups", database.stat().st_size if has_file else 0)
