"""The SQL of lists: one statement for each shape of a list. Each reads an index in order."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import lru_cache, partial
from typing import Any, NamedTuple

from django.db import models
from django.db.models import Lookup
from django.db.models.functions import RowNumber
from django.db.models.lookups import Exact, GreaterThan, In, LessThan

from core.database.compiled import CompiledQuery, Parameter, parameter
from core.database.planner_hints import Annotated, Unindexed, Unsorted, select_from
from core.resources.lists.cursors import Order
from core.resources.model import ResourceQuerySet
from core.resources.search.candidates import IsCandidate
from core.resources.search.tables import SearchedTable

# A statement may sort this many rows instead of reading them in the order of an index.
SORTABLE_ROWS = 200
# Bounds the memory if a client tries every combination of filters.
STATEMENTS_KEPT = 512


class Filter(NamedTuple):
    """A query parameter that filters a list: the field and the lookup. `In` takes one or several values."""

    field: str
    lookup: type[Lookup[Any]]


SEARCH = Filter("", Lookup)
"""The filter for text in one of the queryset's `searched` fields."""


class Plan(Enum):
    """How a statement finds the rows of a page."""

    WALK = "walk"
    """Read the index of the order."""
    WINDOW = "window"
    """Read the index of the order up to the edge."""
    FEW = "few"
    """Read the index of an exact filter that matches few rows, and sort them."""
    CANDIDATES = "candidates"
    """Read the candidates of the search index, and sort them."""


class Shape(NamedTuple):
    """Everything about a list that changes its SQL. Each filter in use comes with its number of values."""

    order: Order
    filters: tuple[tuple[str, int], ...]
    is_staff: bool
    after_cursor: bool
    limit: int
    plan: Plan = Plan.WALK


class ListStatements:
    """The statements of one resource's lists.

    Parameters are named like their filters (`status_0`, `status_1` for `In`); `owner_id` is the principal's, and
    `cursor_value`, `cursor_id`, `edge_value` and `edge_id` are positions in the order.
    """

    def __init__(self, rows: ResourceQuerySet[Any], filters: Mapping[str, Filter]) -> None:
        self._rows, self._model, self._filters = rows, rows.model, filters
        self._table = SearchedTable.of(rows)
        self._indexes = {tuple(index.fields) for index in self._model._meta.indexes}
        keep = lru_cache(maxsize=STATEMENTS_KEPT)
        self.page, self.count = keep(self._compile_page), keep(self._compile_count)
        self.probe, self.edge = keep(self._compile_probe), keep(self._compile_edge)
        self.among_first, self.found = keep(self._compile_among_first), keep(self._compile_found)

    def _compile_page(self, shape: Shape) -> CompiledQuery[Any]:
        build, is_search = partial(self._page_rows, shape), self._is_search(shape)
        return CompiledQuery(build, row=self._model.row_type(), force_custom_plan=is_search)

    def _page_rows(self, shape: Shape) -> models.QuerySet[Any, Any]:
        return self._ordered(shape, self._leading(shape)).as_rows()[: shape.limit + 1]

    def _compile_edge(self, shape: Shape, window: int) -> CompiledQuery[Any]:
        """Compile the position of a walk after `window` rows. No row if the walk ends before."""
        return CompiledQuery(partial(self._edge_row, shape, window))

    def _edge_row(self, shape: Shape, window: int) -> models.QuerySet[Any, Any]:
        return self._walked(shape).values_list(shape.order.field, "id")[window : window + 1]

    def _compile_among_first(self, shape: Shape, window: int) -> CompiledQuery[Any]:
        """Compile a page from the first `window` rows of a walk, and the row after them, each with its `walk_number`.

        For PostgreSQL, whose planner would misjudge the number of rows before an edge.
        """
        return CompiledQuery(partial(self._rows_among_first, shape, window), row=self._model.row_type("walk_number"))

    def _rows_among_first(self, shape: Shape, window: int) -> models.QuerySet[Any, Any]:
        walked = self._walked(shape)
        order: Any = walked.query.order_by
        first = select_from(walked.annotate(walk_number=models.Window(RowNumber(), order_by=order))[: window + 1])
        number = Annotated(first, "walk_number")
        wanted = self._filtered(first, shape, self._leading(shape), is_walked=True)
        ordered = shape.order.apply(wanted | first.filter(Exact(number, window + 1)), after=False)
        rows: models.QuerySet[Any, Any] = ordered.as_rows().annotate(walk_number=number)
        return rows[: shape.limit + 1]

    def _compile_found(self, shape: Shape, most: int) -> CompiledQuery[Any]:
        """Compile a page of the rows that PostgreSQL's search index finds, each with the `candidate_count`.

        The count is `most` + 1 if there are more candidates.
        """
        build, row = partial(self._found_rows, shape, most), self._model.row_type("candidate_count")
        return CompiledQuery(build, row=row, force_custom_plan=True)

    def _found_rows(self, shape: Shape, most: int) -> models.QuerySet[Any, Any]:
        found = self._ordered(shape._replace(plan=Plan.CANDIDATES), set()).order_by()
        # With a LIMIT, the planner would scan the table in the hope of finding enough rows early.
        found = found.annotate(candidate_number=models.Window(RowNumber())).filter(candidate_number__lte=most + 1)
        rows = shape.order.apply(select_from(found), after=False).as_rows()
        return rows.annotate(candidate_count=models.Window(models.Count("pk")))[: shape.limit + 1]

    def _walked(self, shape: Shape) -> ResourceQuerySet[Any]:
        leading = self._leading(shape)
        walked = shape._replace(filters=tuple(pair for pair in shape.filters if pair[0] in leading))
        return self._ordered(walked, leading)

    def _ordered(self, shape: Shape, leading: set[str]) -> ResourceQuerySet[Any]:
        # An exact filter on the sort field leaves only the id to compare with the cursor.
        is_pinned = any(self._filters[name] == (shape.order.field, Exact) for name, _ in shape.filters)
        column = {Plan.FEW: self._unindexed, Plan.CANDIDATES: self._unsorted}.get(shape.plan, models.F)
        rows, until = self._narrow(shape, leading), shape.plan is Plan.WINDOW
        return shape.order.apply(rows, after=shape.after_cursor, until=until, by_id=is_pinned, column=column)

    def _compile_count(self, shape: Shape) -> CompiledQuery[Any]:
        return CompiledQuery(partial(self._counted, shape), force_custom_plan=self._is_search(shape))

    def _counted(self, shape: Shape) -> models.QuerySet[Any, Any]:
        leading = set() if shape.plan is Plan.CANDIDATES else set(self._filters)
        rows = self._narrow(shape, leading).order_by().annotate(none=models.Value(1))
        return rows.values("none").annotate(total=models.Count("pk")).values_list("total")

    def _compile_probe(self, shape: Shape) -> CompiledQuery[Any] | None:
        """Compile a count up to SORTABLE_ROWS for an exact filter that has an index, but not one in this order.

        SQLite has no statistics to know it. Returns None if there is no such filter.
        """
        exact = self._exact(shape)
        if exact is None or exact in self._leading(shape):
            return None
        return CompiledQuery(partial(self._probed, shape._replace(filters=((exact, 1),), plan=Plan.WALK)))

    def _probed(self, shape: Shape) -> models.QuerySet[Any, Any]:
        [(exact, _)] = shape.filters
        return self._narrow(shape, {exact}).order_by().values_list("id")[: SORTABLE_ROWS + 1]

    def _exact(self, shape: Shape) -> str | None:
        owner = self._owner(shape)
        beginnings = {index[: len(owner) + 1] for index in self._indexes}
        for name, _ in shape.filters:
            field, lookup = self._filters[name]
            if lookup is Exact and (*owner, field) in beginnings:
                return name
        return None

    def _leading(self, shape: Shape) -> set[str]:
        """Return the filters that bound the walk along an index. No other filter may choose SQLite's index."""
        if shape.plan is Plan.CANDIDATES:
            return set()
        if shape.plan is Plan.FEW and (exact := self._exact(shape)):
            return {exact}
        return {name for name, count in shape.filters if self._is_leading(shape, name, count)}

    def _is_leading(self, shape: Shape, name: str, count: int) -> bool:
        field, lookup = self._filters[name]
        if field != shape.order.field:
            is_one = lookup is Exact or (lookup is In and count == 1)
            return is_one and (*self._owner(shape), field, shape.order.field, "id") in self._indexes
        if lookup is Exact:
            return True
        # The cursor decides where the walk starts; a filter or the edge decides where it ends.
        ends_walk = lookup is (GreaterThan if shape.order.is_descending else LessThan)
        return shape.plan is not Plan.WINDOW if ends_walk else not shape.after_cursor

    def _is_search(self, shape: Shape) -> bool:
        return any(self._filters[name] is SEARCH for name, _ in shape.filters)

    def _owner(self, shape: Shape) -> tuple[str, ...]:
        return () if shape.is_staff else ("owner",)

    def _narrow(self, shape: Shape, leading: set[str]) -> ResourceQuerySet[Any]:
        rows = self._rows.all()
        if not shape.is_staff:
            column = self._unindexed("owner") if shape.plan is Plan.CANDIDATES else models.F("owner")
            rows = rows.filter(Exact(column, parameter(self._model, "owner")))
        if shape.plan is Plan.CANDIDATES:
            rows = rows.filter(IsCandidate(self._table))
        return self._filtered(rows, shape, leading)

    def _filtered(
        self, rows: ResourceQuerySet[Any], shape: Shape, leading: set[str], *, is_walked: bool = False
    ) -> ResourceQuerySet[Any]:
        """Apply the filters, of walked rows only those that the walk has not applied."""
        for name, count in shape.filters:
            if is_walked and name in leading:
                continue
            field, lookup = self._filters[name]
            if self._filters[name] is SEARCH:
                rows = rows.search(Parameter(name, models.TextField()))
                continue
            names = [f"{name}_{number}" for number in range(count)] if lookup is In else [name]
            values: Any = [parameter(self._model, field, given_as=one) for one in names]
            column = models.F(field) if name in leading else self._unindexed(field)
            rows = rows.filter(lookup(column, values if lookup is In else values[0]))
        return rows

    def _unindexed(self, field: str) -> Unindexed:
        return Unindexed(models.F(field), output_field=parameter(self._model, field).output_field)

    def _unsorted(self, field: str) -> Unsorted:
        return Unsorted(models.F(field), output_field=parameter(self._model, field).output_field)
