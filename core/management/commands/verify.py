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
    """Reads, and changes nothing."""

    help = (
        "Tells whether backups are good: their checksums hold, they open, they are sound, they hold what they held "
        "when they were made, and this version of the service knows their migrations. Exit code 1 if one is not."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("backups", nargs="*", type=Path, help="files (default: the newest one in BACKUP_DIR)")
        parser.add_argument("--all", action="store_true", help="all in BACKUP_DIR")

    def handle(self, *_: Any, backups: list[Path], **options: Any) -> None:
        bad = 0
        try:
            chosen = [Backup.at(path) for path in backups] or _of_folder(everything=options["all"])
        except BackupError as error:
            raise CommandError(f"{error}.") from error
        for backup in chosen:
            try:
                verify_backup(backup)
            except BackupError as error:
                bad += 1
                self.stderr.write(self.style.ERROR(f"{backup.data}: BAD. {error}."))
            else:
                self.stdout.write(f"{backup.data}: good, of {backup.manifest.created_at}")
        if bad:
            raise CommandError(f"{bad} of {len(chosen)} backups can't be relied upon.")


def _of_folder(*, everything: bool) -> list[Backup]:
    if not settings.BACKUP_DIR:
        raise CommandError("name a backup, or set BACKUP_DIR")
    folder = Path(settings.BACKUP_DIR)
    last = newest(folder)
    return finished(folder) if everything else [last]
