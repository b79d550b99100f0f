"""Whether a backup is still what it was when it was made."""

from pathlib import Path

from core.operations.backup import postgresql, sqlite
from core.operations.backup.durable import sha256
from core.operations.backup.failures import BackupError
from core.operations.backup.folder import Backup
from core.operations.backup.manifest import Contents, Manifest
from core.operations.backup.migrations_known import refuse_unknown


def verify_backup(backup: Backup) -> None:
    """Holds a backup against its checksum, opens it, and holds what is in it against its manifest.

    Raises BackupError with the first thing that is wrong.
    """
    check_size(backup)
    refuse_other_checksum(backup, sha256(backup.data))
    if backup.manifest.engine == sqlite.ENGINE:
        refuse_other_contents(backup.data, sqlite.inspect(backup.data), backup.manifest)
    else:
        postgresql.read_through(backup.data, list(backup.manifest.rows))
    refuse_unknown(backup.manifest.migrations)


def check_size(backup: Backup) -> None:
    """Raises BackupError if the file was cut off, or written to."""
    size = backup.data.stat().st_size
    if size != backup.manifest.size_bytes:
        raise BackupError(f"{backup.data} has {size} bytes, and had {backup.manifest.size_bytes} when it was made")


def refuse_other_checksum(backup: Backup, checksum: str) -> None:
    """Raises BackupError unless the checksum is the manifest's."""
    if checksum != backup.manifest.sha256:
        raise BackupError(f"{backup.data} was changed or damaged since it was made: its SHA-256 is another")


def refuse_other_contents(where: Path | str, found: Contents, manifest: Manifest) -> None:
    """Raises BackupError unless a database holds the migrations and rows that the manifest tells of."""
    if found.migrations != manifest.migrations:
        raise BackupError(f"{where} has other migrations than its manifest says")
    tables = {*found.rows, *manifest.rows}
    other = sorted(name for name in tables if found.rows.get(name) != manifest.rows.get(name))
    if other:
        told = ", ".join(f"{name} {found.rows.get(name)} rather than {manifest.rows.get(name)}" for name in other[:5])
        raise BackupError(f"{where} has other rows than its manifest says: {told}")
