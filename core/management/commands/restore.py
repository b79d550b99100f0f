"""manage.py restore BACKUP"""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from core.operations.backup.failures import BackupError
from core.operations.backup.folder import Backup, newest
from core.operations.backup.restore import restore_backup

LATEST = "latest"


class Command(BaseCommand):
    """Either all of a backup is restored, or nothing has changed."""

    help = (
        "Puts a backup in the place of the database. The service must not run. What is there already is touched with "
        "--force alone, and is kept under another name even then."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("backup", help=f"its file, or '{LATEST}': the newest one in BACKUP_DIR")
        parser.add_argument("--force", action="store_true", help="even if there is a database already")

    def handle(self, *_: Any, backup: str, force: bool, **__: Any) -> None:
        try:
            chosen = _latest() if backup == LATEST else Backup.at(Path(backup))
            old = restore_backup(chosen, force=force)
        except BackupError as error:
            raise CommandError(f"Nothing was restored: {error}.") from error
        self.stdout.write(f"{chosen.data}: restored, the state of {chosen.manifest.created_at}")
        if old:
            self.stdout.write(f"The old data is kept as {old}: delete it when nobody needs it any more.")
        self.stdout.write("Next: manage.py migrate, then start the service.")


def _latest() -> Backup:
    if not settings.BACKUP_DIR:
        raise CommandError("name a backup, or set BACKUP_DIR")
    return newest(Path(settings.BACKUP_DIR))
