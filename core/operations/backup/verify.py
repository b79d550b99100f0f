"""Checks that a backup has not changed since it was created."""

from collections.abc import Iterable
from pathlib import Path

from django.db.migrations.loader import MigrationLoader

from core.operations.backup import postgresql, sqlite
from core.operations.backup.durable import sha256
from core.operations.backup.failures import BackupError
from core.operations.backup.folder import Backup
from core.operations.backup.manifest import Contents, Manifest

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


def unknown_migrations(applied: Iterable[str]) -> list[str]:
    """Return the applied migrations (`app.name`) that have no file in this version of the service."""
    migrations = MigrationLoader(None).disk_migrations
    known = {".".join(key) for key in migrations}
    for migration in migrations.values():
        # Databases keep the names of the migrations that a squashed migration replaces.
        known |= {".".join(key) for key in migration.replaces}
    return sorted(set(applied) - known)


def refuse_unknown(applied: Iterable[str]) -> None:
    if unknown := unknown_migrations(applied):
        raise BackupError(
            "the backup was created by a newer version of the service and has unknown migrations: "
            f"{', '.join(unknown)}. Restore it with that version"
        )


def check_size(backup: Backup) -> None:
    size = backup.data.stat().st_size
    if size != backup.manifest.size_bytes:
        raise BackupError(f"{backup.data} has {size} bytes; its manifest says {backup.manifest.size_bytes}")


def check_checksum(backup: Backup, checksum: str) -> None:
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
