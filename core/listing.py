"""Lists of a resource: filters, order, pages, each one walk along an index (core/pagination.py).

item_list = Listing("items", ItemQuerySet(Item), filters={"name": Filter("name", Exact)}, to_json=item_json)
page = await item_list.page(principal, query)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from django.db import models
from django.db.models import Lookup
from django.db.models.lookups import Exact, GreaterThan, In, LessThan
from pydantic import BaseModel, ConfigDict, Field

from core.auth.principal import Principal
from core.database import database
from core.database.compiled import CompiledQuery, Parameter, Row, parameter
from core.database.hints import Unindexed
from core.database.search import containing
from core.identifiers import canonical_uuid
from core.pagination import Order, binding, make_cursor, read_cursor
from core.query import Boolean, Integer
from core.resource import ResourceQuerySet
from core.timestamps import rfc3339


class ListQuery(BaseModel):
    """How a list is asked for; a resource adds `sort` and its filters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Integer = Field(20, ge=1, le=100, description="How many a page has at most.")
    cursor: str | None = Field(None, description="next_cursor of the page before, with the same sort and filters.")
    sort: str
    total: Boolean = Field(False, description="Also count all that match.")


class Filter(NamedTuple):
    """A parameter that narrows a list: what it compares with, and how. `In` takes any of several values."""

    field: str
    lookup: type[Lookup[Any]]


SEARCH = Filter("", Lookup)
"""The filter for text in one of the fields that the queryset searches."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page as JSON, and the cursor of the next."""

    body: bytes
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the SQL of a list depends on: one statement is compiled for each."""

    order: Order
    filters: tuple[tuple[str, int], ...]
    """The filters that are used, each with its number of values."""
    is_staff: bool
    after_cursor: bool
    limit: int


class Listing:
    """The lists of one resource."""

    def __init__(
        self,
        name: str,
        rows: ResourceQuerySet[Any],
        *,
        filters: Mapping[str, Filter],
        to_json: Callable[[Row], bytes],
    ) -> None:
        """`name` is that of the list in a page, `filters` go by the names of a query's fields."""
        self._rows, self._filters, self._to_json = rows, filters, to_json
        self._model = rows.model
        self._beginning = b'{"%s":[' % name.encode()
        self._places = {name: place for place, name in enumerate(rows.row)}
        self._indexes = {tuple(index.fields) for index in self._model._meta.indexes}
        self._statement = lru_cache(maxsize=512)(self._compile)
        self._count = lru_cache(maxsize=512)(self._compile_count)

    async def page(self, principal: Principal, query: ListQuery) -> Page:
        """The page of what the principal sees. Raises ValidationFailed for a cursor that is not this list's."""
        order = Order(query.sort)
        given = {name: value for name in self._filters if (value := getattr(query, name)) not in (None, ())}
        values = {"owner_id": principal.user_id, **self._parameters(given)}
        bound_to = binding(principal, order, orjson.dumps(list(given.items())))
        if query.cursor is not None:
            values["cursor_value"], values["cursor_id"] = read_cursor(query.cursor, bound_to)
        counts = tuple((name, len(value) if isinstance(value, tuple) else 1) for name, value in given.items())
        shape = _Shape(order, counts, principal.is_staff, query.cursor is not None, query.limit)

        def fetch() -> tuple[list[Row], int | None]:
            counted = self._count(shape).fetch_one(**values) if query.total else None
            return self._statement(shape).fetch_all(**values), counted[0] if counted else None

        rows, total = await database.read(fetch)
        next_cursor = None
        if len(rows) > query.limit:
            rows = rows[: query.limit]
            next_cursor = self._cursor_after(rows[-1], order, bound_to)
        return Page(self._page_json(rows, next_cursor, total), next_cursor)

    def _parameters(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The values under the names that `_narrow` gives to its parameters."""
        values: dict[str, Any] = {}
        for name, value in given.items():
            if isinstance(value, tuple):
                values |= {f"{name}_{number}": one for number, one in enumerate(value)}
            else:
                values[name] = containing(value) if self._filters[name] is SEARCH else value
        return values

    def _cursor_after(self, row: Row, order: Order, bound_to: bytes) -> str:
        value = row[self._places[order.field]]
        if isinstance(self._model._meta.get_field(order.field), models.DateTimeField):
            value = rfc3339(value)
        return make_cursor(bound_to, value, canonical_uuid(row[self._places["id"]]))

    def _page_json(self, rows: list[Row], next_cursor: str | None, total: int | None) -> bytes:
        cursor = b"null" if next_cursor is None else b'"' + next_cursor.encode() + b'"'
        counted = b"" if total is None else b',"total":%d' % total
        return b"".join(
            (self._beginning, b",".join(map(self._to_json, rows)), b'],"next_cursor":', cursor, counted, b"}")
        )

    def _compile(self, shape: _Shape) -> CompiledQuery:
        # The cursor has this value, too: what is left to go by is the id.
        is_pinned = any(self._filters[name] == (shape.order.field, Exact) for name, _ in shape.filters)

        def build() -> models.QuerySet[Any, Any]:
            rows = self._narrow(shape, self._leading(shape))
            return shape.order.apply(rows, after=shape.after_cursor, by_id=is_pinned).as_rows()[: shape.limit + 1]

        return CompiledQuery(build)

    def _compile_count(self, shape: _Shape) -> CompiledQuery:
        def build() -> models.QuerySet[Any, Any]:
            rows = self._narrow(shape, set(self._filters)).order_by().annotate(none=models.Value(1))
            return rows.values("none").annotate(total=models.Count("pk")).values_list("total")

        return CompiledQuery(build)

    def _leading(self, shape: _Shape) -> set[str]:
        """The filters that bound the walk along an index of this order; any other would lead to an index without it."""
        order, leading = shape.order, set()
        owner = () if shape.is_staff else ("owner",)
        # Where the walk begins is the cursor's to say, where it ends a filter's.
        end = GreaterThan if order.is_descending else LessThan
        for name, count in shape.filters:
            field, lookup = self._filters[name]
            if field == order.field:
                is_leading = lookup in (Exact, end) or not shape.after_cursor
            else:
                is_one = lookup is Exact or (lookup is In and count == 1)
                is_leading = is_one and (*owner, field, order.field, "id") in self._indexes
            if is_leading:
                leading.add(name)
        return leading

    def _narrow(self, shape: _Shape, leading: set[str]) -> ResourceQuerySet[Any]:
        rows = self._rows.all()
        if not shape.is_staff:
            rows = rows.filter(owner_id=parameter(self._model, "owner"))
        for name, count in shape.filters:
            field, lookup = self._filters[name]
            if self._filters[name] is SEARCH:
                rows = rows.search(Parameter(name, models.TextField()))
                continue
            names = [f"{name}_{number}" for number in range(count)] if lookup is In else [name]
            values: Any = [parameter(self._model, field, given_as=one) for one in names]
            column = models.F(field)
            compared = column if name in leading else Unindexed(column, output_field=values[0].output_field)
            rows = rows.filter(lookup(compared, values if lookup is In else values[0]))
        return rows
