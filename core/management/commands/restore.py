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
    help = (
        "Replace the database by a backup, completely or not at all. Stop the service first. An existing database is "
        "replaced only with --force, and is kept under another name."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("backup", help=f"file of the backup, or '{LATEST}' for the newest backup in BACKUP_DIR")
        parser.add_argument("--force", action="store_true", help="replace an existing database")

    def handle(self, *_: Any, backup: str, force: bool, **__: Any) -> None:
        try:
            chosen = _latest() if backup == LATEST else Backup.at(Path(backup))
            old = restore_backup(chosen, force=force)
        except BackupError as error:
            raise CommandError(f"Nothing was restored: {error}.") from error
        self.stdout.write(f"{chosen.data}: restored, with the state of {chosen.manifest.created_at}")
        if old:
            self.stdout.write(f"The old data is kept as {old}: delete it when you no longer need it.")
        self.stdout.write("Next: run manage.py migrate, then start the service.")


def _latest() -> Backup:
    if not settings.BACKUP_DIR:
        raise CommandError("name a backup, or set BACKUP_DIR")
    return newest(Path(settings.BACKUP_DIR))
