"""The index of items, looked at by its tests."""

from typing import Any

from django.db import connection, transaction

from core.resources.search import sqlite_index
from core.resources.search.tables import SearchedTable
from items.models import Item, ItemQuerySet

TABLE = SearchedTable.of(ItemQuerySet(Item))


def ask(sql: str, *parameters: Any) -> list[Any]:
    """Rows of the test's database."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        return cursor.fetchall() if cursor.description else []


def fill(batch: int = 1000) -> int:
    """Indexes what waits."""
    with transaction.atomic():
        return sqlite_index.fill(TABLE, batch=batch)


def found(term: str) -> set[str]:
    """The names of the rows that the index alone finds."""
    sql = "SELECT name FROM item WHERE rowid IN (SELECT rowid FROM item_search WHERE item_search MATCH %s)"
    return {name for [name] in ask(sql, f'"{term}"')}


def segments() -> int:
    """Into how many parts a search of the index has to look."""
    return int(ask("SELECT count(DISTINCT segid) FROM item_search_idx")[0][0])
