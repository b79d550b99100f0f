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
    """Safe at any time, beside traffic."""

    help = (
        "Backs the database up while it is in use: SQLite as a file, PostgreSQL by pg_dump. The backup is opened and "
        "checked before it counts. What it was made of is told by the .json file beside it."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", nargs="?", type=Path, help="where it goes (default: BACKUP_DIR)")
        parser.add_argument("--keep", type=int, metavar="N", help="delete all but the N newest backups of the folder")

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
            raise CommandError(f"No backup: {error}.") from error
        manifest = backup.manifest
        self.stdout.write(
            f"{backup.data}: {manifest.size_bytes} bytes, {sum(manifest.rows.values())} rows, checked, "
            f"in {manifest.seconds} s"
        )
        for path in deleted:
            self.stdout.write(f"{path}: deleted, --keep {keep}")
