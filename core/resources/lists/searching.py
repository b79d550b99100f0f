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
        is_indexed = indexer.is_ready(self._table) and candidates.is_indexed(text)
        total = self._count(shape, values, text, is_indexed=is_indexed) if is_counted else None
        look = self._look_on_sqlite if connection.vendor == "sqlite" else self._look_on_postgresql
        for window, most in STEPS if is_indexed else ():
            rows = look(shape, values, text, window, most)
            if rows is not None:
                return rows, total
        return self._statements.page(shape).fetch_all(**values), total

    def _look_on_sqlite(
        self, shape: Shape, values: dict[str, Any], text: str, window: int, most: int
    ) -> list[ResourceRow] | None:
        """Return the page if `window` rows along the order or `most` candidates contain it, else None."""
        edge = self._statements.edge(shape, window).fetch_one(**values)
        if edge is None:
            return self._statements.page(shape).fetch_all(**values)
        within = self._statements.page(shape._replace(plan=Plan.WINDOW))
        edge_value = getattr(edge, shape.order.field)
        rows = within.fetch_all(**values, edge_value=edge_value, edge_id=edge.id)
        if len(rows) > shape.limit:
            return rows
        found = self._find(shape, values, text, most)
        if found is None:
            return None
        return self._statements.page(shape._replace(plan=Plan.CANDIDATES)).fetch_all(**values, **found)

    def _look_on_postgresql(
        self, shape: Shape, values: dict[str, Any], text: str, window: int, most: int
    ) -> list[ResourceRow] | None:
        """Do the same with fewer round trips to the server."""
        walked = self._statements.among_first(shape, window).fetch_all(**values)
        is_longer = bool(walked) and walked[-1].walk_number > window
        rows = [row for row in walked if row.walk_number <= window]
        if len(rows) > shape.limit or not is_longer:
            return rows
        found = self._statements.found(shape, most).fetch_all(**values)
        return found if not found or found[0].candidate_count <= most else None

    def _count(self, shape: Shape, values: dict[str, Any], text: str, *, is_indexed: bool) -> int:
        found: dict[str, str] | None = {} if is_indexed else None
        if is_indexed and connection.vendor == "sqlite":
            found = self._find(shape, values, text, CANDIDATES_COUNTED)
        if found is not None:
            shape = shape._replace(plan=Plan.CANDIDATES)
        [row] = self._statements.count(shape).fetch_all(**values, **(found or {}))
        return int(row.total)

    def _find(self, shape: Shape, values: dict[str, Any], text: str, most: int) -> dict[str, str] | None:
        """Return the parameter with SQLite's candidates, or None if there are more than `most`."""
        found = candidates.find(self._table, text, None if shape.is_staff else values["owner_id"], most=most)
        return None if found is None else {"candidates": found}
