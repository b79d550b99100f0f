"""Builds whole indexes, for a migration and for `manage.py build_search_index`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from django.db import connection, transaction

from core.resources.search import postgresql_index, sqlite_index
from core.resources.search.sql import ask, run
from core.resources.search.tables import SearchedTable

# Other writers get their turn between two batches. A row costs less in a larger batch.
BATCH = 4096
MERGE_PAGES = 1000
CHECKPOINT_PAGES = 16_384
NO_FTS5 = "This Python's SQLite has no FTS5, or one without trigrams (before 3.34)"
NO_PG_TRGM = (
    "The database lacks the extension pg_trgm, and this user may not create it. Ask the database's owner or a "
    "superuser to run CREATE EXTENSION pg_trgm (package postgresql-contrib), "
    "then run: manage.py build_search_index"
)


def build(table: SearchedTable) -> str:
    """Build a missing index, outside a transaction. Return why the database cannot have one, or an empty text."""
    if connection.vendor == "sqlite":
        return _build_on_sqlite(table)
    if not postgresql_index.is_whole(table):
        if not (postgresql_index.has_extension() or postgresql_index.add_extension()):
            return NO_PG_TRGM
        postgresql_index.create(table)
    return ""


def _build_on_sqlite(table: SearchedTable) -> str:
    if not sqlite_index.is_supported():
        return NO_FTS5
    with transaction.atomic():
        if not sqlite_index.is_whole(table):
            sqlite_index.create(table)
    with _checkpoints():
        while _commit(partial(sqlite_index.fill, table, batch=BATCH)):
            pass
        is_merging = _commit(partial(sqlite_index.merge, table, pages=MERGE_PAGES, all_in_one=True))
        while is_merging:
            is_merging = _commit(partial(sqlite_index.merge, table, pages=MERGE_PAGES))
    return ""


def _commit(step: Callable[[], int]) -> int:
    with transaction.atomic():
        return step()


@contextmanager
def _checkpoints() -> Iterator[None]:
    """Let this connection checkpoint, so that the WAL stays small."""
    before = ask("PRAGMA wal_autocheckpoint")
    run(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
    try:
        yield
    finally:
        run(f"PRAGMA wal_autocheckpoint={before}")


def drop(table: SearchedTable) -> None:
    if connection.vendor == "sqlite":
        sqlite_index.drop(table)
    else:
        postgresql_index.drop(table)


def is_whole(table: SearchedTable) -> bool:
    return sqlite_index.is_whole(table) if connection.vendor == "sqlite" else postgresql_index.is_whole(table)
