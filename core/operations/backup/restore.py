"""Replaces the configured database by a backup. The old database is kept under another name."""

from pathlib import Path

from django.db import connection, connections

from core.models import CacheEpoch
from core.operations.backup import postgresql_restore, sqlite, sqlite_swap
from core.operations.backup.durable import copy_with_checksum, sha256
from core.operations.backup.failures import BackupError
from core.operations.backup.folder import Backup
from core.operations.backup.verify import check_checksum, check_contents, check_size, refuse_unknown
from core.values import now

# Redis may hold entries of the backup's cache epoch that are newer than the backup. Without a row, the service starts a
# new epoch and ignores all of these entries.
EMPTIED = (CacheEpoch._meta.db_table,)


def restore_backup(backup: Backup, *, force: bool = False) -> str:
    """Restore a backup, and return the name of the kept old database ("" if there was none).

    Raises BackupError, and then changes nothing. Without `force`, the database must be empty.
    """
    engine = connection.vendor
    if backup.manifest.engine != engine:
        raise BackupError(f"the backup is for {backup.manifest.engine}, but DB_DSN names a {engine} database")
    check_size(backup)
    refuse_unknown(backup.manifest.migrations)
    emptied = [table for table in EMPTIED if table in backup.manifest.rows]
    suffix = f"before_restore_{now():%Y%m%dT%H%M%SZ}"
    if engine == sqlite.ENGINE:
        database = Path(connection.settings_dict["NAME"])
        return _restore_sqlite(backup, database, suffix, emptied, force=force)
    check_checksum(backup, sha256(backup.data))
    return postgresql_restore.restore(backup, suffix.lower(), emptied, force=force)


def _restore_sqlite(backup: Backup, database: Path, suffix: str, emptied: list[str], *, force: bool) -> str:
    exists = database.exists() and database.stat().st_size > 0
    if exists and not force:
        raise BackupError(f"{database} exists. With --force, the old database is kept under another name")
    new = database.with_name(database.name + ".restoring")
    new.unlink(missing_ok=True)
    try:
        check_checksum(backup, copy_with_checksum(backup.data, new))
        check_contents(new, sqlite.inspect(new), backup.manifest)
        sqlite.empty_tables(new, emptied)
        connections.close_all()
        if not exists:
            sqlite_swap.put_in_place(new, database)
            return ""
        old = database.with_name(f"{database.name}.{suffix}")
        with sqlite_swap.locked(database):
            sqlite_swap.set_aside(database, old)
            sqlite_swap.put_in_place(new, database)
        return str(old)
    except OSError as error:
        raise BackupError(f"the backup could not be restored: {error.strerror}") from error
    finally:
        new.unlink(missing_ok=True)
