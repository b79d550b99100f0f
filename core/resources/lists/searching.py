"""Pages of a search.

What many rows have is soon met along the order, what few have is soon found in the index, and neither the other way
round. So a search looks at some rows along the order; if these make no page, it asks the index for candidates; if
these are too many to be looked at, it goes further along the order, and so on. Whichever way is the better one, the
search takes little more than that would. A short list is at its end before the index is asked.
"""

from typing import Any

from django.db import connection

from core.database.compiled import Row
from core.resources.lists.cursors import EDGE
from core.resources.lists.statements import ListStatements, Plan, Shape
from core.resources.search import candidates
from core.resources.search.indexer import indexer
from core.resources.search.tables import SearchedTable

# How many rows along the order, then how many candidates: about as much work each.
STEPS = ((250, 5_000), (20_000, 100_000), (500_000, 1_000_000))
# Of more candidates, a total is counted in the table.
MOST_COUNTED = 100_000


class ListSearch:
    """The searches of one resource, by the statements of its lists."""

    def __init__(self, table: SearchedTable, statements: ListStatements) -> None:
        self._table, self._statements = table, statements

    def fetch(
        self, shape: Shape, values: dict[str, Any], *, text: str, is_counted: bool
    ) -> tuple[list[Row], int | None]:
        """The rows of a page, one more if there is a next; and how many there are in all, if asked."""
        index = _Index(self._table, self._statements, shape, values, text)
        total = index.count() if is_counted else None
        look = self._look_on_sqlite if connection.vendor == "sqlite" else self._look_on_postgresql
        for window, most in STEPS if index.is_of_use else ():
            rows = look(index, window, most)
            if rows is not None:
                return rows, total
        return self._statements.page(shape).fetch_all(**values), total

    def _look_on_sqlite(self, index: "_Index", window: int, most: int) -> list[Row] | None:
        """The page, if it is among so many rows along the order, or among so many candidates."""
        shape, values = index.walk, index.values
        edge = self._statements.edge(shape, window).fetch_one(**values)
        if edge is None:
            return self._statements.page(shape).fetch_all(**values)
        within = self._statements.page(shape._replace(plan=Plan.WINDOW))
        rows = within.fetch_all(**values, **dict(zip(EDGE, edge, strict=True)))
        if len(rows) > shape.limit:
            return rows
        if index.has_at_most(most):
            return self._statements.page(index.shape).fetch_all(**values)
        return None

    def _look_on_postgresql(self, index: "_Index", window: int, most: int) -> list[Row] | None:
        """Likewise, by less statements: there each is a journey to another process, perhaps to another machine."""
        shape, values = index.walk, index.values
        walked = self._statements.among_first(shape, window).fetch_all(**values)
        is_longer = bool(walked) and walked[-1][-1] > window
        rows = [row[:-1] for row in walked if row[-1] <= window]
        if len(rows) > shape.limit or not is_longer:
            return rows
        found = self._statements.found(shape, most).fetch_all(**values)
        return [row[:-1] for row in found] if not found or found[0][-1] <= most else None


class _Index:
    """What the index can do for one search."""

    def __init__(
        self, table: SearchedTable, statements: ListStatements, shape: Shape, values: dict[str, Any], text: str
    ) -> None:
        self._table, self._statements, self._text = table, statements, text
        self.is_of_use = indexer.is_ready(table) and candidates.is_indexed(text)
        self.walk, self.shape = shape, shape._replace(plan=Plan.CANDIDATES)
        self.values = values.copy()

    def has_at_most(self, most: int) -> bool:
        """Whether SQLite's index finds no more rows than that. If so, `values` have them."""
        owner_id = None if self.shape.is_staff else self.values["owner_id"]
        found = candidates.find(self._table, self._text, owner_id, most=most)
        if found is not None:
            self.values["candidates"] = found
        return found is not None

    def count(self) -> int:
        """How many rows there are in all."""
        is_by_index = self.is_of_use and (connection.vendor != "sqlite" or self.has_at_most(MOST_COUNTED))
        shape = self.shape if is_by_index else self.walk
        [(total,)] = self._statements.count(shape).fetch_all(**self.values)
        return int(total)
