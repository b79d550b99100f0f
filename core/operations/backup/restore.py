"""Putting a backup in the place of the configured database. What was there before is kept under another name."""

from pathlib import Path

from django.db import connection, connections

from core.models import CacheEpoch
from core.operations.backup import postgresql_restore, sqlite, sqlite_swap
from core.operations.backup.durable import copy_with_checksum, sha256
from core.operations.backup.failures import BackupError
from core.operations.backup.folder import Backup
from core.operations.backup.migrations_known import refuse_unknown
from core.operations.backup.verify import check_size, refuse_other_checksum, refuse_other_contents
from core.values import now

# Entries of the cache that were made since the backup name an epoch that the backup may know as well. Without one, the
# service begins another, and none of them is used.
FORGOTTEN = (CacheEpoch._meta.db_table,)


def restore_backup(backup: Backup, *, force: bool = False) -> str:
    """Restores a backup, and returns the name under which the old database is kept ("" if there was none).

    Raises BackupError, with everything as it was, if the backup is damaged, of another engine or of a newer version,
    if the database is in use, and, without `force`, if it holds anything.
    """
    engine = connection.vendor
    if backup.manifest.engine != engine:
        raise BackupError(f"the backup is one of {backup.manifest.engine}, and DB_DSN names a database of {engine}")
    check_size(backup)
    refuse_unknown(backup.manifest.migrations)
    forgotten = [table for table in FORGOTTEN if table in backup.manifest.rows]
    aside = f"before_restore_{now():%Y%m%dT%H%M%SZ}"
    if engine == sqlite.ENGINE:
        database = Path(connection.settings_dict["NAME"])
        return _restore_sqlite(backup, database, aside, forgotten, force=force)
    refuse_other_checksum(backup, sha256(backup.data))
    return postgresql_restore.restore(backup, aside.lower(), forgotten, force=force)


def _restore_sqlite(backup: Backup, database: Path, aside: str, forgotten: list[str], *, force: bool) -> str:
    exists = database.exists() and database.stat().st_size > 0
    if exists and not force:
        raise BackupError(f"{database} exists: --force restores in its place and keeps it under another name")
    new = database.with_name(database.name + ".restoring")
    new.unlink(missing_ok=True)
    try:
        refuse_other_checksum(backup, copy_with_checksum(backup.data, new))
        refuse_other_contents(new, sqlite.inspect(new), backup.manifest)
        sqlite.forget(new, forgotten)
        connections.close_all()
        if not exists:
            sqlite_swap.put_in_place(new, database)
            return ""
        old = database.with_name(f"{database.name}.{aside}")
        with sqlite_swap.held_exclusively(database):
            sqlite_swap.set_aside(database, old)
            sqlite_swap.put_in_place(new, database)
        return str(old)
    except OSError as error:
        raise BackupError(f"the backup could not be restored: {error.strerror}") from error
    finally:
        new.unlink(missing_ok=True)
