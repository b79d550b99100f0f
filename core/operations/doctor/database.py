"""The database, whichever it is: in reach, migrated to this version, and taking writes."""

import secrets
from collections.abc import Iterator
from datetime import timedelta

from django.db import DatabaseError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder

from core.models import IdempotencyRecord
from core.operations.backup.migrations_known import unknown_migrations
from core.operations.doctor import postgresql, search_index, sqlite_file
from core.operations.doctor.findings import Finding, error, info, ok
from core.values import now


def check() -> Iterator[Finding]:
    """Ends early if there is nothing to connect to."""
    if file := sqlite_file.missing():
        yield error(
            f"Migrations are not applied: there is no database {file} yet",
            "Run, as the service's user: python manage.py migrate; or have DB_DSN name another file",
        )
        return
    try:
        connection.ensure_connection()
    except DatabaseError as failure:
        yield error(
            f"The database that DB_DSN names is out of reach: {str(failure).strip()}",
            "Is it running? Are host, port, name, user and password right, and the folder writable?",
        )
        return
    yield ok(f"{connection.display_name} {'.'.join(map(str, connection.get_database_version()))}")
    try:
        yield from _look_into()
    except DatabaseError as failure:
        yield error(
            f"The database cannot be read: {str(failure).strip()}",
            "If it is damaged, restore a backup: docs/runbook.md tells how",
        )


def _look_into() -> Iterator[Finding]:
    if (pending := _pending_migrations()) is not None:
        yield pending
    else:
        yield ok("Every migration is applied")
        yield _write()
        yield from search_index.check()
    yield from _newer_migrations()
    yield from (sqlite_file.check() if connection.vendor == "sqlite" else postgresql.check())


def _pending_migrations() -> Finding | None:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if not plan:
        return None
    names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _ in plan[:3])
    more = f" and {len(plan) - 3} more" if len(plan) > 3 else ""
    return error(f"Migrations are not applied: {names}{more}", "Run: python manage.py migrate")


def _newer_migrations() -> Iterator[Finding]:
    applied = (f"{app}.{name}" for app, name in MigrationRecorder(connection).applied_migrations())
    if unknown := unknown_migrations(applied):
        yield info(
            f"The database has migrations that this version does not know: {', '.join(unknown)}",
            "Fine while a newer version is being rolled out; else run that version",
        )


def _write() -> Finding:
    """Writes a row like any request does, and takes it back."""
    try:
        with transaction.atomic():
            IdempotencyRecord.objects.create(
                scope_digest=secrets.token_hex(32),
                request_digest="doctor",
                status=200,
                body=b"",
                created_at=now(),
                expires_at=now() + timedelta(seconds=1),
            )
            transaction.set_rollback(True)
    except DatabaseError as failure:
        return error(
            f"The database takes no writes: {str(failure).strip()}",
            "Is the disk full or read-only, does another process hold a lock, may this user write?",
        )
    return ok("It takes writes")
