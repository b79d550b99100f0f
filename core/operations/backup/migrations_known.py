"""Which migrations this version of the service knows: a database that has others was made by a newer one."""

from collections.abc import Iterable

from core.operations.backup.failures import BackupError


def unknown_migrations(applied: Iterable[str]) -> list[str]:
    """Those of the applied migrations (`app.name`) that the code has no file for."""
    from django.db.migrations.loader import MigrationLoader

    loader = MigrationLoader(None)
    known = {".".join(key) for key in loader.disk_migrations}
    for migration in loader.disk_migrations.values():
        # What a squashed migration stands for stays on record in databases that have applied it.
        known |= {".".join(key) for key in migration.replaces}
    return sorted(set(applied) - known)


def refuse_unknown(applied: Iterable[str]) -> None:
    """Raises BackupError if the state is a newer version's."""
    if unknown := unknown_migrations(applied):
        raise BackupError(
            f"the backup was made by a newer version of the service, whose migrations this one does not know: "
            f"{', '.join(unknown)}. Restore it with that version"
        )
