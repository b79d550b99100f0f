"""Pages of a search.

What many rows have is soon met along the order, what few have is soon found in the index, and neither the other way
round. So a search looks at some rows along the order; if these make no page, it asks the index for candidates; if
these are too many to be looked at, it goes further along the order, and so on. Whichever way is the better one, the
search takes little more than that would. A short list is at its end before the index is asked.
"""

from dataclasses import replace
from typing import Any

from django.db import connection

from core.database.compiled import Row
from core.list_statements import ListStatements, Plan, Shape
from core.pagination import EDGE
from core.search import candidates
from core.search.indexer import indexer
from core.search.tables import SearchedTable

# How many rows along the order, then how many candidates: about as much work each.
STEPS = ((250, 5_000), (20_000, 100_000), (500_000, 2_500_000))


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
        for window, most in STEPS if index.is_of_use else ():
            edge = self._statements.edge(shape, window).fetch_one(**values)
            if edge is None:
                break
            walk = self._statements.page(replace(shape, plan=Plan.WINDOW))
            rows = walk.fetch_all(**values, **dict(zip(EDGE, edge, strict=True)))
            if len(rows) > shape.limit:
                return rows, total
            if index.has_at_most(most):
                return self._statements.page(index.shape).fetch_all(**index.values), total
        return self._statements.page(shape).fetch_all(**values), total


class _Index:
    """What the index can do for one search."""

    def __init__(
        self, table: SearchedTable, statements: ListStatements, shape: Shape, values: dict[str, Any], text: str
    ) -> None:
        self._table, self._statements, self._walk = table, statements, shape
        way = candidates.way_to(text) if indexer.is_ready(table) else None
        self.is_of_use = way is not None
        self.shape, self.values, self._parameters = shape, values, {}
        if way is not None:
            self.shape = replace(shape, plan=Plan(way))
            owner_id = None if shape.is_staff else values["owner_id"]
            self._parameters = candidates.parameters_of(way, text, owner_id)
            self.values = values | self._parameters
        self._total: int | None = None

    def has_at_most(self, most: int) -> bool:
        """Whether the index finds no more rows than that."""
        if connection.vendor == "sqlite":
            return candidates.are_at_most(most, self._table, self.shape.plan.value, self._parameters)
        # PostgreSQL gathers all that its index finds before it gives the first.
        return self.count() <= most

    def count(self) -> int:
        """How many rows there are in all."""
        if self._total is None:
            is_sqlite = connection.vendor == "sqlite"
            is_walk = self.is_of_use and is_sqlite and not self.has_at_most(STEPS[-1][1])
            shape = self._walk if is_walk else self.shape
            [(self._total,)] = self._statements.count(shape).fetch_all(**self.values)
        return self._total
