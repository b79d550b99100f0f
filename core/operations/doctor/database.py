"""The database, SQLite or PostgreSQL: reachable, migrated to this version, writable, indexed for searches."""

import secrets
from collections.abc import Iterator
from datetime import timedelta

from django.db import DatabaseError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder

from core.models import IdempotencyRecord
from core.operations.backup.verify import unknown_migrations
from core.operations.doctor import postgresql, sqlite_file
from core.operations.doctor.findings import Finding, error, info, ok, warning
from core.resources.search import building, postgresql_index, sqlite_index
from core.resources.search.tables import SearchedTable, searched_tables
from core.values import now

MAX_MIGRATIONS_SHOWN = 3
# Each waiting row costs a search several microseconds.
MAX_BACKLOG = 100_000


def check() -> Iterator[Finding]:
    if file := sqlite_file.missing():
        yield error(
            f"Migrations are not applied: the database {file} does not exist",
            "Run python manage.py migrate as the service's user, or correct DB_DSN",
        )
        return
    try:
        connection.ensure_connection()
    except DatabaseError as failure:
        yield error(
            f"The database in DB_DSN is unreachable: {str(failure).strip()}",
            "Check that it runs, and host, port, name, user and password. SQLite needs a writable folder",
        )
        return
    yield ok(f"{connection.display_name} {'.'.join(map(str, connection.get_database_version()))}")
    try:
        yield from _contents()
    except DatabaseError as failure:
        yield error(
            f"The database cannot be read: {str(failure).strip()}",
            "If it is damaged, restore a backup; docs/runbook.md describes how",
        )


def _contents() -> Iterator[Finding]:
    if pending := _pending_migrations():
        yield pending
    else:
        yield ok("All migrations are applied")
        yield _write()
        for table in searched_tables():
            yield _search_index(table)
    yield from _newer_migrations()
    yield from (sqlite_file.check() if connection.vendor == "sqlite" else postgresql.check())


def _pending_migrations() -> Finding | None:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if not plan:
        return None
    names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _ in plan[:MAX_MIGRATIONS_SHOWN])
    more = f" and {len(plan) - MAX_MIGRATIONS_SHOWN} more" if len(plan) > MAX_MIGRATIONS_SHOWN else ""
    return error(f"Migrations are not applied: {names}{more}", "Run python manage.py migrate")


def _newer_migrations() -> Iterator[Finding]:
    applied = (f"{app}.{name}" for app, name in MigrationRecorder(connection).applied_migrations())
    if unknown := unknown_migrations(applied):
        yield info(
            f"The database has migrations of a newer version: {', '.join(unknown)}",
            "Ignore this during an update to that version; otherwise run that version",
        )


def _write() -> Finding:
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
            f"The database is not writable: {str(failure).strip()}",
            "Check for a full or read-only disk, a lock of another process, and missing rights of the user",
        )
    return ok("The database is writable")


def _search_index(table: SearchedTable) -> Finding:
    if not building.is_whole(table):
        message = f"Searches (q=…) in {table.name} read every row: the search index is missing or incomplete"
        return warning(message, _obstacle() or "Run python manage.py build_search_index")
    backlog = sqlite_index.backlog(table, at_most=MAX_BACKLOG) if connection.vendor == "sqlite" else 0
    if backlog > MAX_BACKLOG:
        return info(
            f"About {backlog:,} rows of {table.name} are not indexed yet and slow down each search",
            "The service indexes them gradually; python manage.py build_search_index indexes them at once",
        )
    return ok(f"Searches in {table.name} use an index")


def _obstacle() -> str:
    if connection.vendor == "sqlite":
        return "" if sqlite_index.is_supported() else building.NO_FTS5
    return "" if postgresql_index.has_extension() else building.NO_PG_TRGM
