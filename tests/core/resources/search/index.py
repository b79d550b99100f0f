"""Access to the search index of items for tests."""

from typing import Any

from django.db import connection, transaction

from core.resources.search import sqlite_index
from core.resources.search.tables import SearchedTable
from items.models import Item, ItemQuerySet

TABLE = SearchedTable.of(ItemQuerySet(Item))


def execute(sql: str, *parameters: Any) -> list[Any]:
    """Execute SQL in the test database and return the rows, if any."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        return cursor.fetchall() if cursor.description else []


def fill(batch: int = 1000) -> int:
    """Index up to `batch` waiting rows and return their number."""
    with transaction.atomic():
        return sqlite_index.fill(TABLE, batch=batch)


def found(term: str) -> set[str]:
    """Return the names of the rows that the index alone finds."""
    sql = "SELECT name FROM item WHERE rowid IN (SELECT rowid FROM item_search WHERE item_search MATCH %s)"
    return {name for [name] in execute(sql, f'"{term}"')}


def segments() -> int:
    """Return the number of segments that a search of the index reads."""
    return int(execute("SELECT count(DISTINCT segid) FROM item_search_idx")[0][0])
