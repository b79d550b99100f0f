"""Lists of items: filters, order, pages."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from django.db import models
from django.db.models import Lookup
from django.db.models.lookups import Exact, GreaterThan, In, LessThan

from core.auth.principal import Principal
from core.database import database
from core.database.compiled import CompiledQuery, Parameter, Row, parameter
from core.database.hints import Unindexed
from core.database.search import containing
from core.pagination import Order, binding, make_cursor, read_cursor
from core.timestamps import rfc3339
from items.models import Item, ItemQuerySet
from items.representation import canonical_uuid, item_json
from items.schemas import ItemQuery

FILTERS = ("name", "q", "status", "created_after", "created_before", "updated_after", "updated_before")
MOMENTS = {
    "created_after": ("created_at", GreaterThan),
    "created_before": ("created_at", LessThan),
    "updated_after": ("updated_at", GreaterThan),
    "updated_before": ("updated_at", LessThan),
}
# Where the text of a row has what an order sorts by.
COLUMNS = {"name": 1, "created_at": 7, "updated_at": 8}


@dataclass(frozen=True, slots=True)
class Shape:
    """What the SQL of a list depends on: one statement is compiled for each."""

    order: Order
    filters: tuple[str, ...]
    statuses: int
    is_staff: bool
    after_cursor: bool
    limit: int


@dataclass(frozen=True, slots=True)
class Page:
    """A page as JSON, and the cursor of the next."""

    body: bytes
    next_cursor: str | None


async def list_items(principal: Principal, *, query: ItemQuery) -> Page:
    """The page of the items that the principal sees. Raises ValidationFailed for a cursor that is not its own."""
    order = Order(query.sort)
    filters = tuple(name for name in FILTERS if getattr(query, name) not in (None, ()))
    values: dict[str, Any] = {name: getattr(query, name) for name in filters}
    values |= {f"status_{number}": status for number, status in enumerate(query.status)}
    if "q" in values:
        values["q"] = containing(values["q"])
    bound_to = binding(principal, order, _canonical(query, filters))
    if query.cursor is not None:
        values["cursor_value"], values["cursor_id"] = read_cursor(query.cursor, bound_to)
    values["owner_id"] = principal.user_id
    shape = Shape(order, filters, len(query.status), principal.is_staff, query.cursor is not None, query.limit)

    def fetch() -> tuple[list[Row], int | None]:
        counted = _count(shape).fetch_one(**values) if query.total else None
        return _statement(shape).fetch_all(**values), counted[0] if counted else None

    rows, total = await database.read(fetch)
    next_cursor = None
    if len(rows) > query.limit:
        last = rows[query.limit - 1]
        value = last[COLUMNS[order.field]]
        if order.field != "name":
            value = rfc3339(value)
        next_cursor = make_cursor(bound_to, value, canonical_uuid(last[0]))
        rows = rows[: query.limit]
    return Page(_page_json(rows, next_cursor, total), next_cursor)


def _page_json(rows: list[Row], next_cursor: str | None, total: int | None) -> bytes:
    cursor = b"null" if next_cursor is None else b'"' + next_cursor.encode() + b'"'
    counted = b"" if total is None else b',"total":%d' % total
    return b'{"items":[' + b",".join(map(item_json, rows)) + b'],"next_cursor":' + cursor + counted + b"}"


@lru_cache(maxsize=1024)
def _canonical(query: ItemQuery, filters: tuple[str, ...]) -> bytes:
    """The filters' values, written in one way only."""
    return orjson.dumps([[name, getattr(query, name)] for name in filters])


@lru_cache(maxsize=512)
def _statement(shape: Shape) -> CompiledQuery:
    # Only filters that the order's own index begins with may choose the index.
    free = {"status"} if shape.statuses == 1 and shape.order.field == "created_at" else set()
    if not shape.after_cursor:
        free.add(shape.order.field)
    return CompiledQuery(
        lambda: shape.order.apply(_matching(shape, free), after=shape.after_cursor).as_rows()[: shape.limit + 1]
    )


@lru_cache(maxsize=512)
def _count(shape: Shape) -> CompiledQuery:
    def count() -> models.QuerySet[Any, Any]:
        rows = _matching(shape, {"status", "name", "created_at", "updated_at"}).order_by()
        return rows.annotate(none=models.Value(1)).values("none").annotate(total=models.Count("pk")).values_list("total")

    return CompiledQuery(count)


def _matching(shape: Shape, free: set[str]) -> ItemQuerySet:
    rows = ItemQuerySet(Item)
    if not shape.is_staff:
        rows = rows.filter(owner_id=parameter(Item, "owner"))
    if shape.statuses:
        statuses = [parameter(Item, "status", given_as=f"status_{n}") for n in range(shape.statuses)]
        rows = rows.filter(_compare("status", In, statuses, free))
    if "name" in shape.filters:
        rows = rows.filter(_compare("name", Exact, parameter(Item, "name"), free))
    if "q" in shape.filters:
        rows = rows.search(Parameter("q", models.TextField()))
    for name, (field, lookup) in MOMENTS.items():
        if name in shape.filters:
            rows = rows.filter(_compare(field, lookup, parameter(Item, field, given_as=name), free))
    return rows


def _compare(field: str, lookup: type[Lookup[Any]], value: Any, free: set[str]) -> models.Q:
    """A filter; one of a field that is not `free` leaves the choice of the index to the order."""
    column = models.F(field) if field in free else Unindexed(models.F(field), output_field=_field(field))
    return models.Q(lookup(column, value))


def _field(name: str) -> models.Field[Any, Any]:
    field = Item._meta.get_field(name)
    assert isinstance(field, models.Field)
    return field
