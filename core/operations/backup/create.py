"""Creates backups: copy, check, checksum, name, record."""

import logging
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection

from core.operations.backup import folder as folders
from core.operations.backup import postgresql, sqlite
from core.operations.backup.durable import create_private, sha256
from core.operations.backup.failures import BackupError
from core.operations.backup.folder import Backup
from core.operations.backup.manifest import Contents, Manifest
from core.operations.backup.models import ONLY_ID, LastBackup
from core.values import now, rfc3339

logger = logging.getLogger("agent_router.backup")


def create_backup(folder: Path) -> Backup:
    """Back up the configured database while it is in use. Raises BackupError, and then leaves no files behind."""
    moment, began = now(), time.monotonic()
    with folders.only_one(folder):
        name = folders.new_name(connection.vendor, moment, folder)
        partial = folder / (name + folders.PARTIAL)
        create_private(partial)
        try:
            contents = _copy(partial)
            manifest = Manifest(
                file=name,
                service_version=settings.APP_VERSION,
                created_at=rfc3339(moment),
                seconds=round(time.monotonic() - began, 3),
                size_bytes=partial.stat().st_size,
                sha256=sha256(partial),
                **asdict(contents),
            )
            backup = folders.finish(partial, manifest)
        except OSError as error:
            raise BackupError(f"the backup could not be written: {error.strerror}") from error
        finally:
            partial.unlink(missing_ok=True)
    _record(manifest)
    return backup


def _copy(partial: Path) -> Contents:
    if connection.vendor == "sqlite":
        sqlite.copy_online(Path(connection.settings_dict["NAME"]), partial)
        return sqlite.inspect(partial)
    contents = postgresql.dump_online(partial)
    postgresql.read_through(partial, list(contents.rows))
    return contents


def _record(manifest: Manifest) -> None:
    values = {
        "created_at": datetime.fromisoformat(manifest.created_at),
        "file": manifest.file,
        "size_bytes": manifest.size_bytes,
        "seconds": manifest.seconds,
    }
    try:
        LastBackup.objects.update_or_create(id=ONLY_ID, defaults=values)
    except DatabaseError as error:  # the table may be missing before the first migration
        logger.warning("The backup is good, but the metrics will not show it: %s", str(error).strip())
