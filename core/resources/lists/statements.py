"""The SQL of lists: one statement for each shape of a list, compiled at its first use, each a walk along an index."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple

from django.db import models
from django.db.models import Lookup
from django.db.models.functions import RowNumber
from django.db.models.lookups import Exact, GreaterThan, In, LessThan

from core.database.compiled import CompiledQuery, Parameter, parameter
from core.database.hints import Unindexed, Unsorted
from core.database.subselect import Annotated, select_from
from core.resources.lists.cursors import Order
from core.resources.model import ResourceQuerySet
from core.resources.search.candidates import IsCandidate
from core.resources.search.tables import SearchedTable

# How many rows may be sorted.
FEW = 200


class Filter(NamedTuple):
    """A parameter that narrows a list: what it compares with, and how. `In` takes any of several values."""

    field: str
    lookup: type[Lookup[Any]]


SEARCH = Filter("", Lookup)
"""The filter for text in one of the fields that the queryset searches."""


class Plan(Enum):
    """How the rows of a page are come by."""

    WALK = "walk"
    """Along the index of the order."""
    WINDOW = "window"
    """Likewise, but no further than the edge."""
    FEW = "few"
    """By an exact filter that leaves few, which are then sorted."""
    CANDIDATES = "candidates"
    """From the candidates of the search index, which are then sorted."""


class Shape(NamedTuple):
    """What the SQL of a list depends on."""

    order: Order
    filters: tuple[tuple[str, int], ...]
    """The filters that are used, each with its number of values."""
    is_staff: bool
    after_cursor: bool
    limit: int
    plan: Plan = Plan.WALK


class ListStatements:
    """Parameters have the names of their filters, those of `In` with a number; and `owner_id`, and a cursor's."""

    def __init__(self, rows: ResourceQuerySet[Any], filters: Mapping[str, Filter]) -> None:
        self._rows, self._model, self._filters = rows, rows.model, filters
        self._indexes = {tuple(index.fields) for index in self._model._meta.indexes}
        self.page = lru_cache(maxsize=512)(self._compile_page)
        self.count = lru_cache(maxsize=512)(self._compile_count)
        self.probe = lru_cache(maxsize=512)(self._compile_probe)
        self.edge = lru_cache(maxsize=512)(self._compile_edge)
        self.among_first = lru_cache(maxsize=512)(self._compile_among_first)
        self.found = lru_cache(maxsize=512)(self._compile_found)

    def _compile_page(self, shape: Shape) -> CompiledQuery[Any]:
        """A page's rows, and one more if there is a next page."""
        return CompiledQuery(
            lambda: self._ordered(shape, self._leading(shape)).as_rows()[: shape.limit + 1],
            is_planned_anew=self._is_search(shape),
        )

    def _compile_edge(self, shape: Shape, window: int) -> CompiledQuery[Any]:
        """Where a walk has passed so many rows, be they in the list or not. No row if it ends before that."""
        place = (shape.order.field, "id")
        return CompiledQuery(lambda: self._walked(shape).values_list(*place)[window : window + 1])

    def _compile_among_first(self, shape: Shape, window: int) -> CompiledQuery[Any]:
        """A page out of the first so many rows of a walk, and the row after these. For PostgreSQL.

        Each with its number in the walk. An edge would do there, too, but leaves the planner to guess how many rows
        there are before it, and to come by them in other ways.
        """

        def build() -> models.QuerySet[Any, Any]:
            walked = self._walked(shape)
            order: Any = walked.query.order_by
            first = select_from(walked.annotate(walk_number=models.Window(RowNumber(), order_by=order))[: window + 1])
            number = Annotated(first, "walk_number")
            wanted = self._filtered(first, shape, self._leading(shape), is_walked=True)
            ordered = shape.order.apply(wanted | first.filter(Exact(number, window + 1)), after=False)
            rows: models.QuerySet[Any, Any] = ordered.as_rows().annotate(walk_number=number)
            return rows[: shape.limit + 1]

        return CompiledQuery(build)

    def _compile_found(self, shape: Shape, most: int) -> CompiledQuery[Any]:
        """A page of what the search index finds; with each row how many that are, or most + 1. For PostgreSQL."""

        def build() -> models.QuerySet[Any, Any]:
            found = self._ordered(shape._replace(plan=Plan.CANDIDATES), set()).order_by()
            # Not a limit, for which the planner would rather scan the table, and hope to meet as many soon.
            found = found.annotate(candidate_number=models.Window(RowNumber())).filter(candidate_number__lte=most + 1)
            rows = shape.order.apply(select_from(found), after=False).as_rows()
            return rows.annotate(candidate_count=models.Window(models.Count("pk")))[: shape.limit + 1]

        return CompiledQuery(build, is_planned_anew=True)

    def _walked(self, shape: Shape) -> ResourceQuerySet[Any]:
        """Every row that a walk passes, be it in the list or not."""
        leading = self._leading(shape)
        walked = shape._replace(filters=tuple(pair for pair in shape.filters if pair[0] in leading))
        return self._ordered(walked, leading)

    def _ordered(self, shape: Shape, leading: set[str]) -> ResourceQuerySet[Any]:
        # The cursor has this value, too: what is left to go by is the id.
        is_pinned = any(self._filters[name] == (shape.order.field, Exact) for name, _ in shape.filters)
        column = {Plan.FEW: self._unindexed, Plan.CANDIDATES: self._unsorted}.get(shape.plan, models.F)
        rows, until = self._narrow(shape, leading), shape.plan is Plan.WINDOW
        return shape.order.apply(rows, after=shape.after_cursor, until=until, by_id=is_pinned, column=column)

    def _compile_count(self, shape: Shape) -> CompiledQuery[Any]:
        def build() -> models.QuerySet[Any, Any]:
            leading = set() if shape.plan is Plan.CANDIDATES else set(self._filters)
            rows = self._narrow(shape, leading).order_by().annotate(none=models.Value(1))
            return rows.values("none").annotate(total=models.Count("pk")).values_list("total")

        return CompiledQuery(build, is_planned_anew=self._is_search(shape))

    def _compile_probe(self, shape: Shape) -> CompiledQuery[Any] | None:
        """At most FEW + 1 of the rows that an exact filter leaves which has an index, but not one of this order.

        SQLite has no statistics to find out by itself. None if there is no such filter.
        """
        exact = self._exact(shape)
        if exact is None or exact in self._leading(shape):
            return None
        only = shape._replace(filters=((exact, 1),), plan=Plan.WALK)
        return CompiledQuery(lambda: self._narrow(only, {exact}).order_by().values_list("id")[: FEW + 1])

    def _exact(self, shape: Shape) -> str | None:
        """The exact filter that an index begins with."""
        owner = self._owner(shape)
        beginnings = {index[: len(owner) + 1] for index in self._indexes}
        for name, _ in shape.filters:
            field, lookup = self._filters[name]
            if lookup is Exact and (*owner, field) in beginnings:
                return name
        return None

    def _leading(self, shape: Shape) -> set[str]:
        """The filters that bound the walk along an index; any other would lead SQLite to one without the order."""
        if shape.plan is Plan.CANDIDATES:
            return set()
        if shape.plan is Plan.FEW and (exact := self._exact(shape)):
            return {exact}
        order, leading = shape.order, set()
        # Where the walk begins is the cursor's to say, where it ends a filter's, or the edge's.
        end = GreaterThan if order.is_descending else LessThan
        for name, count in shape.filters:
            field, lookup = self._filters[name]
            if field == order.field:
                is_leading = lookup is Exact or (
                    shape.plan is not Plan.WINDOW if lookup is end else not shape.after_cursor
                )
            else:
                is_one = lookup is Exact or (lookup is In and count == 1)
                is_leading = is_one and (*self._owner(shape), field, order.field, "id") in self._indexes
            if is_leading:
                leading.add(name)
        return leading

    def _is_search(self, shape: Shape) -> bool:
        return any(self._filters[name] is SEARCH for name, _ in shape.filters)

    def _owner(self, shape: Shape) -> tuple[str, ...]:
        """What an index begins with."""
        return () if shape.is_staff else ("owner",)

    def _narrow(self, shape: Shape, leading: set[str]) -> ResourceQuerySet[Any]:
        rows = self._rows.all()
        if not shape.is_staff:
            column = self._unindexed("owner") if shape.plan is Plan.CANDIDATES else models.F("owner")
            rows = rows.filter(Exact(column, parameter(self._model, "owner")))
        if shape.plan is Plan.CANDIDATES:
            rows = rows.filter(IsCandidate(SearchedTable.of(self._rows)))
        return self._filtered(rows, shape, leading)

    def _filtered(
        self, rows: ResourceQuerySet[Any], shape: Shape, leading: set[str], *, is_walked: bool = False
    ) -> ResourceQuerySet[Any]:
        """Narrowed by the filters; if the rows are those of a walk, by what did not lead it."""
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
