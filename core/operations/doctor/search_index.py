"""Search indexes."""

from collections.abc import Iterator

from django.db import connection

from core.operations.doctor.findings import Finding, info, ok, warning
from core.resources.search import building, postgresql_index, sqlite_index
from core.resources.search.tables import SearchedTable, searched_tables

# Each waiting row costs a search several microseconds.
MAX_BACKLOG = 100_000


def check() -> Iterator[Finding]:
    """Check each searched table. Needs an open connection, and all migrations applied."""
    for table in searched_tables():
        yield _check(table)


def _check(table: SearchedTable) -> Finding:
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
