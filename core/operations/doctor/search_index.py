"""Searches: whether each goes by an index."""

from collections.abc import Iterator

from django.db import connection

from core.operations.doctor.findings import Finding, info, ok, warning
from core.resources.search import building, postgresql_index, sqlite_index
from core.resources.search.tables import SearchedTable, searched_tables

# What has not been indexed costs a search some microseconds a row.
MUCH = 100_000


def check() -> Iterator[Finding]:
    """Needs an open connection, and every migration applied."""
    for table in searched_tables():
        yield _check(table)


def _check(table: SearchedTable) -> Finding:
    if not building.is_whole(table):
        message = f"Searches (q=…) in {table.name} look at every row: it has no search index, or not a whole one"
        return warning(message, _reason() or "Run: python manage.py build_search_index")
    waiting = sqlite_index.backlog(table, at_most=MUCH) if connection.vendor == "sqlite" else 0
    if waiting > MUCH:
        return info(
            f"Some {waiting:,} rows of {table.name} wait to be indexed, and make each search slower",
            "The service indexes them by and by; at once: python manage.py build_search_index",
        )
    return ok(f"Searches in {table.name} go by an index")


def _reason() -> str:
    if connection.vendor == "sqlite":
        return "" if sqlite_index.is_supported() else building.NO_FTS5
    return "" if postgresql_index.has_extension() else building.NO_PG_TRGM
