"""manage.py backup [FOLDER]"""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from core.operations.backup.create import create_backup
from core.operations.backup.failures import BackupError
from core.operations.backup.folder import keep_newest


class Command(BaseCommand):
    help = (
        "Back up the database while it is in use: SQLite as a file, PostgreSQL with pg_dump. Checks the backup, and "
        "describes it in a .json file beside it."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", nargs="?", type=Path, help="folder of the backup (default: BACKUP_DIR)")
        parser.add_argument("--keep", type=int, metavar="N", help="delete all but the N newest backups in the folder")

    def handle(self, *_: Any, folder: Path | None, keep: int | None, **__: Any) -> None:
        if keep is not None and keep < 1:
            raise CommandError("--keep must be at least 1")
        if folder is None and not settings.BACKUP_DIR:
            raise CommandError("name a folder, or set BACKUP_DIR")
        folder = folder or Path(settings.BACKUP_DIR)
        try:
            backup = create_backup(folder)
            deleted = keep_newest(folder, backup.manifest.engine, keep) if keep else []
        except BackupError as error:
            raise CommandError(f"The backup failed: {error}.") from error
        manifest = backup.manifest
        rows = sum(manifest.rows.values())
        self.stdout.write(f"{backup.data}: {manifest.size_bytes} bytes, {rows} rows, checked, in {manifest.seconds} s")
        for path in deleted:
            self.stdout.write(f"{path}: deleted")
