"""Finds migrations that this version of the service does not know. A newer version has applied them."""

from collections.abc import Iterable

from django.db.migrations.loader import MigrationLoader

from core.operations.backup.failures import BackupError


def unknown_migrations(applied: Iterable[str]) -> list[str]:
    """Return the applied migrations (`app.name`) that have no file in this version."""
    loader = MigrationLoader(None)
    known = {".".join(key) for key in loader.disk_migrations}
    for migration in loader.disk_migrations.values():
        # Databases keep the names of the migrations that a squashed migration replaces.
        known |= {".".join(key) for key in migration.replaces}
    return sorted(set(applied) - known)


def refuse_unknown(applied: Iterable[str]) -> None:
    """Raise BackupError if a newer version created the backup."""
    if unknown := unknown_migrations(applied):
        raise BackupError(
            "the backup was created by a newer version of the service and has unknown migrations: "
            f"{', '.join(unknown)}. Restore it with that version"
        )
