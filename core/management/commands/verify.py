"""manage.py verify [BACKUP ...]"""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from core.operations.backup.failures import BackupError
from core.operations.backup.folder import Backup, finished, newest
from core.operations.backup.verify import verify_backup


class Command(BaseCommand):
    help = (
        "Check backups: checksum, integrity, contents, and whether this version of the service knows their "
        "migrations. Changes nothing. Exits with 1 if a backup is bad."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("backups", nargs="*", type=Path, help="files (default: the newest backup in BACKUP_DIR)")
        parser.add_argument("--all", action="store_true", help="check all backups in BACKUP_DIR")

    def handle(self, *_: Any, backups: list[Path], **options: Any) -> None:
        try:
            chosen = [Backup.at(path) for path in backups] or _from_folder(all_backups=options["all"])
        except BackupError as error:
            raise CommandError(f"{error}.") from error
        bad = 0
        for backup in chosen:
            try:
                verify_backup(backup)
            except BackupError as error:
                bad += 1
                self.stderr.write(self.style.ERROR(f"{backup.data}: BAD. {error}."))
            else:
                self.stdout.write(f"{backup.data}: good, from {backup.manifest.created_at}")
        if bad:
            raise CommandError(f"{bad} of {len(chosen)} backups are bad.")


def _from_folder(*, all_backups: bool) -> list[Backup]:
    if not settings.BACKUP_DIR:
        raise CommandError("name a backup, or set BACKUP_DIR")
    folder = Path(settings.BACKUP_DIR)
    latest = newest(folder)
    return finished(folder) if all_backups else [latest]
