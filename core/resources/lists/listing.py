"""Lists of a resource: from a query to a page of JSON."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import orjson
from django.db import models
from pydantic import BaseModel, ConfigDict, Field

from core.database.case_folding import containing
from core.database.pool import database
from core.http.principal import Principal
from core.http.query_string import Boolean, Integer
from core.resources.lists.cursors import Order, binding, make_cursor, read_cursor
from core.resources.lists.searching import ListSearch
from core.resources.lists.statements import SEARCH, SORTABLE_ROWS, Filter, ListStatements, Plan, Shape
from core.resources.model import Resource, ResourceRow
from core.resources.representer import Representer
from core.resources.search.tables import SearchedTable
from core.values import canonical_uuid, rfc3339


class ListQuery(BaseModel):
    """The query of a list. A resource adds `sort` and its filters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Integer = Field(20, ge=1, le=100, description="The largest number of entries on a page.")
    cursor: str | None = Field(
        None, description="`next_cursor` of the previous page. Valid with the same sort and filters only."
    )
    sort: str
    total: Boolean = Field(False, description="Also count all matches.")


class Page(NamedTuple):
    """A page as JSON."""

    body: bytes
    next_cursor: str | None


class Listing:
    """The lists of one resource. `filters` maps fields of the query to filters; None and () do not filter."""

    def __init__(self, name: str, model: type[Resource], *, filters: Mapping[str, Filter]) -> None:
        self._name, self._model, self._filters = name, model, filters
        self._representer = Representer(model)
        rows: Any = model._default_manager.all()
        self._statements = ListStatements(rows, filters)
        self._search = ListSearch(SearchedTable.of(rows), self._statements)

    async def page(self, principal: Principal, query: ListQuery) -> Page:
        """Return the page of what the principal sees. Raises ValidationFailed for a cursor of another list."""
        order = Order(query.sort)
        given = {name: value for name in self._filters if (value := getattr(query, name)) not in (None, ())}
        values = {"owner_id": principal.user_id, **self._parameters(given)}
        bound_to = binding(principal, order, orjson.dumps(list(given.items())))
        if query.cursor is not None:
            values["cursor_value"], values["cursor_id"] = read_cursor(query.cursor, bound_to)
        counts = tuple((name, len(value) if isinstance(value, tuple) else 1) for name, value in given.items())
        shape = Shape(order, counts, principal.is_staff, query.cursor is not None, query.limit)
        text = next((value for name, value in given.items() if self._filters[name] is SEARCH), None)
        rows, total = await database.read_anywhere(partial(self._fetch, shape, values, text, is_counted=query.total))
        next_cursor = None
        if len(rows) > query.limit:
            rows = rows[: query.limit]
            next_cursor = self._cursor_after(rows[-1], order, bound_to)
        return Page(self._page_json(rows, next_cursor, total), next_cursor)

    def _parameters(self, given: Mapping[str, Any]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, value in given.items():
            if isinstance(value, tuple):
                values |= {f"{name}_{number}": one for number, one in enumerate(value)}
            else:
                values[name] = containing(value) if self._filters[name] is SEARCH else value
        return values

    def _fetch(
        self, shape: Shape, values: dict[str, Any], text: str | None, *, is_counted: bool
    ) -> tuple[list[ResourceRow], int | None]:
        """Return the rows, one more if there is a next page, and the number of matches if it is counted."""
        probe = self._statements.probe(shape)
        if probe is not None and len(probe.fetch_all(**values)) <= SORTABLE_ROWS:
            shape = shape._replace(plan=Plan.FEW)
        elif text is not None:
            return self._search.fetch(shape, values, text=text, is_counted=is_counted)
        counted = self._statements.count(shape).fetch_one(**values) if is_counted else None
        return self._statements.page(shape).fetch_all(**values), counted.total if counted else None

    def _cursor_after(self, row: ResourceRow, order: Order, bound_to: bytes) -> str:
        value = getattr(row, order.field)
        if isinstance(self._model._meta.get_field(order.field), models.DateTimeField):
            value = rfc3339(value)
        return make_cursor(bound_to, value, canonical_uuid(row.id))

    def _page_json(self, rows: list[ResourceRow], next_cursor: str | None, total: int | None) -> bytes:
        page: dict[str, Any] = {self._name: list(map(self._representer.document, rows)), "next_cursor": next_cursor}
        if total is not None:
            page["total"] = total
        return orjson.dumps(page)
