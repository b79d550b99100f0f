"""Pages of a search: read along the order and in the search index by turns, in growing steps.

A frequent text fills a page early along the order, a rare text early in the index. Figures:
docs/decisions/0008-trigram-search.md
"""

from typing import Any

from django.db import connection

from core.resources.lists.statements import ListStatements, Plan, Shape
from core.resources.model import ResourceRow
from core.resources.search import candidates
from core.resources.search.indexer import indexer
from core.resources.search.tables import SearchedTable

# Rows to read along the order, then candidates to sort: about the same work.
STEPS = ((250, 5_000), (20_000, 100_000), (500_000, 1_000_000))
# A total of more candidates than this is counted in the table.
CANDIDATES_COUNTED = 100_000


class ListSearch:
    """The searches of one resource."""

    def __init__(self, table: SearchedTable, statements: ListStatements) -> None:
        self._table, self._statements = table, statements

    def fetch(
        self, shape: Shape, values: dict[str, Any], *, text: str, is_counted: bool
    ) -> tuple[list[ResourceRow], int | None]:
        """Return the rows, one more if there is a next page, and the number of matches if it is counted."""
        index = _Index(self._table, self._statements, shape, values, text)
        total = index.count() if is_counted else None
        look = self._look_on_sqlite if connection.vendor == "sqlite" else self._look_on_postgresql
        for window, most in STEPS if index.is_usable else ():
            rows = look(index, window, most)
            if rows is not None:
                return rows, total
        return self._statements.page(shape).fetch_all(**values), total

    def _look_on_sqlite(self, index: "_Index", window: int, most: int) -> list[ResourceRow] | None:
        """Return the page if `window` rows along the order or `most` candidates contain it, else None."""
        shape, values = index.walk, index.values
        edge = self._statements.edge(shape, window).fetch_one(**values)
        if edge is None:
            return self._statements.page(shape).fetch_all(**values)
        within = self._statements.page(shape._replace(plan=Plan.WINDOW))
        edge_value = getattr(edge, shape.order.field)
        rows = within.fetch_all(**values, edge_value=edge_value, edge_id=edge.id)
        if len(rows) > shape.limit:
            return rows
        if index.has_at_most(most):
            return self._statements.page(index.shape).fetch_all(**values)
        return None

    def _look_on_postgresql(self, index: "_Index", window: int, most: int) -> list[ResourceRow] | None:
        """Do the same with fewer round trips to the server."""
        shape, values = index.walk, index.values
        walked = self._statements.among_first(shape, window).fetch_all(**values)
        is_longer = bool(walked) and walked[-1].walk_number > window
        rows = [row for row in walked if row.walk_number <= window]
        if len(rows) > shape.limit or not is_longer:
            return rows
        found = self._statements.found(shape, most).fetch_all(**values)
        return found if not found or found[0].candidate_count <= most else None


class _Index:
    """The search index, as one search uses it."""

    def __init__(
        self, table: SearchedTable, statements: ListStatements, shape: Shape, values: dict[str, Any], text: str
    ) -> None:
        self._table, self._statements, self._text = table, statements, text
        self.is_usable = indexer.is_ready(table) and candidates.is_indexed(text)
        self.walk, self.shape = shape, shape._replace(plan=Plan.CANDIDATES)
        self.values = values.copy()

    def has_at_most(self, most: int) -> bool:
        """Return whether SQLite's index finds at most this many rows. If so, add them to `values`."""
        owner_id = None if self.shape.is_staff else self.values["owner_id"]
        found = candidates.find(self._table, self._text, owner_id, most=most)
        if found is not None:
            self.values["candidates"] = found
        return found is not None

    def count(self) -> int:
        is_by_index = self.is_usable and (connection.vendor != "sqlite" or self.has_at_most(CANDIDATES_COUNTED))
        shape = self.shape if is_by_index else self.walk
        [row] = self._statements.count(shape).fetch_all(**self.values)
        return int(row.total)
