"""Checks that a backup has not changed since it was created."""

from pathlib import Path

from core.operations.backup import postgresql, sqlite
from core.operations.backup.durable import sha256
from core.operations.backup.failures import BackupError
from core.operations.backup.folder import Backup
from core.operations.backup.manifest import Contents, Manifest
from core.operations.backup.migrations_known import refuse_unknown

MAX_TABLES_SHOWN = 5


def verify_backup(backup: Backup) -> None:
    """Compare a backup with its manifest: size, checksum, contents, migrations. Raises BackupError."""
    check_size(backup)
    check_checksum(backup, sha256(backup.data))
    if backup.manifest.engine == sqlite.ENGINE:
        check_contents(backup.data, sqlite.inspect(backup.data), backup.manifest)
    else:
        postgresql.read_through(backup.data, list(backup.manifest.rows))
    refuse_unknown(backup.manifest.migrations)


def check_size(backup: Backup) -> None:
    """Raise BackupError if the file was truncated or extended."""
    size = backup.data.stat().st_size
    if size != backup.manifest.size_bytes:
        raise BackupError(f"{backup.data} has {size} bytes; its manifest says {backup.manifest.size_bytes}")


def check_checksum(backup: Backup, checksum: str) -> None:
    """Raise BackupError if the checksum differs from the manifest."""
    if checksum != backup.manifest.sha256:
        raise BackupError(f"{backup.data} is changed or damaged: its SHA-256 differs from its manifest")


def check_contents(file: Path, found: Contents, manifest: Manifest) -> None:
    """Raise BackupError if migrations or row counts differ from the manifest."""
    if found.migrations != manifest.migrations:
        raise BackupError(f"{file} has other migrations than its manifest")
    different = [
        f"{table} has {found.rows.get(table)} instead of {manifest.rows.get(table)}"
        for table in sorted({*found.rows, *manifest.rows})
        if found.rows.get(table) != manifest.rows.get(table)
    ]
    if different:
        raise BackupError(f"{file} has other rows than its manifest: {', '.join(different[:MAX_TABLES_SHOWN])}")
