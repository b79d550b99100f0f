"""Lists compared with a model in Python, and the query plans of their statements."""

import itertools
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import orjson
import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.auth.models import User
from core.http.principal import Principal
from core.resources.lists.cursors import Order
from core.resources.lists.statements import SORTABLE_ROWS, Shape
from items.lists import FILTERS, item_list
from items.models import Item
from items.schemas import ItemQuery
from tests.items.rows import DAWN, make_item, make_user, principal_of, with_database

SORTS = [sign + field for field in ("created_at", "updated_at", "name") for sign in ("", "-")]
NAMES = ["", "a", "A", "b", "é", "É", "100%", "a_b", "\\", "zz"]
ITEM = st.fixed_dictionaries(
    {
        "mine": st.booleans(),
        "name": st.sampled_from(NAMES[1:]),
        "description": st.sampled_from(NAMES),
        "status": st.sampled_from(["draft", "active", "archived"]),
        "created": st.integers(0, 3),
        "updated": st.integers(0, 3),
    }
)
MOMENT = st.none() | st.integers(0, 3).map(lambda seconds: DAWN + timedelta(seconds=seconds))
QUERY = st.fixed_dictionaries(
    {
        "sort": st.sampled_from(SORTS),
        "limit": st.integers(1, 4),
        "status": st.sets(st.sampled_from(["draft", "active", "archived"]), max_size=2).map(tuple),
        "name": st.none() | st.sampled_from(NAMES),
        "q": st.none() | st.sampled_from([*NAMES, "%", "_"]),
        "created_after": MOMENT,
        "created_before": MOMENT,
        "updated_after": MOMENT,
        "updated_before": MOMENT,
    }
)


def fetch(principal: Principal, **query: Any) -> dict[str, Any]:
    page = with_database(lambda: item_list.page(principal, ItemQuery.model_validate(query)))
    found: dict[str, Any] = orjson.loads(page.body)
    assert found["next_cursor"] == page.next_cursor
    return found


def walk(principal: Principal, **query: Any) -> Iterator[list[str]]:
    """Yield the ids of one page after another."""
    cursor = None
    while True:
        page = fetch(principal, cursor=cursor, **query)
        yield [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return


def expected(user: User, query: dict[str, Any]) -> list[str]:
    """Return the ids that a list should contain."""
    field, is_descending = query["sort"].removeprefix("-"), query["sort"].startswith("-")
    q = (query["q"] or "").casefold()
    found = [
        item
        for item in Item.objects.all()
        if (user.is_staff or item.owner_id == user.id)
        and (not query["status"] or item.status in query["status"])
        and (query["name"] is None or item.name == query["name"])
        and (q in item.name.casefold() or q in item.description.casefold())
        and (query["created_after"] is None or item.created_at > query["created_after"])
        and (query["created_before"] is None or item.created_at < query["created_before"])
        and (query["updated_after"] is None or item.updated_at > query["updated_after"])
        and (query["updated_before"] is None or item.updated_at < query["updated_before"])
    ]
    found.sort(key=lambda item: (getattr(item, field), item.id), reverse=is_descending)
    return [str(item.id) for item in found]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_list_matches_the_model_for_any_parameters() -> None:
    me, other, boss = make_user(), make_user(), make_user(is_staff=True)

    @settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
    @given(items=st.lists(ITEM, max_size=12), query=QUERY, is_staff=st.booleans())
    def check(items: list[dict[str, Any]], query: dict[str, Any], is_staff: bool) -> None:
        Item.objects.all().delete()
        for item in items:
            make_item(me if item.pop("mine") else other, **item)
        user = boss if is_staff else me
        wanted = expected(user, query)
        pages = list(walk(principal_of(user), **query))
        assert list(itertools.chain(*pages)) == wanted
        assert all(len(page) == query["limit"] for page in pages[:-1])
        assert fetch(principal_of(user), total=True, **query)["total"] == len(wanted)

    check()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("sort", SORTS)
def test_walk_returns_remaining_items_once_while_others_change(sort: str) -> None:
    me = make_user()
    field = sort.removeprefix("-")

    @settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        items=st.lists(ITEM, min_size=4, max_size=14),
        deleted=st.sets(st.integers(0, 13)),
        added=st.lists(ITEM, max_size=8),
    )
    def check(items: list[dict[str, Any]], deleted: set[int], added: list[dict[str, Any]]) -> None:
        Item.objects.all().delete()
        created = [make_item(me, **_without_mine(item)) for item in items]
        to_delete = [item for number, item in enumerate(created) if number in deleted]
        remaining = {str(item.id) for number, item in enumerate(created) if number not in deleted}
        seen: list[str] = []
        for page in walk(principal_of(me), sort=sort, limit=2):
            seen += page
            if added:
                make_item(me, **_without_mine(added.pop()))
            if to_delete:
                # This may be the row that the cursor points at.
                to_delete.pop().delete()
            if field != "updated_at":
                Item.objects.filter(id__in=remaining).update(description="touched")
        assert len(seen) == len(set(seen))
        assert remaining <= set(seen)

    check()


def _without_mine(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != "mine"}


@pytest.mark.django_db(transaction=True)
def test_rare_and_common_names_are_listed_completely() -> None:
    me = make_user()
    for number in range(SORTABLE_ROWS + 30):
        make_item(me, name="common", created=number % 7, updated=number)
    for number in range(5):
        make_item(me, name="rare", created=number % 2, updated=number)
    for name, count in (("common", SORTABLE_ROWS + 30), ("rare", 5), ("none", 0)):
        for sort in SORTS:
            query = {"sort": sort, "name": name, "limit": 2 if name == "rare" else 100}
            everything = ItemQuery.model_validate(query).model_dump()
            seen = list(itertools.chain(*walk(principal_of(me), **query)))
            assert len(seen) == count
            assert seen == expected(me, everything)


def explain(shape: Shape, values: dict[str, Any]) -> list[str]:
    """Return the query plan of a page's statement."""
    found: list[str] = []
    is_sqlite = connection.vendor == "sqlite"

    def explaining(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(("EXPLAIN QUERY PLAN " if is_sqlite else "EXPLAIN ") + sql, params, many, context)
        found.extend(str(row[-1]) for row in context["cursor"].fetchall())
        return result

    with connection.execute_wrapper(explaining):
        item_list._statements.page(shape).fetch_all(**values)
    return found


def shapes() -> Iterator[Shape]:
    """Yield each sort with each combination of up to three filters, for users and staff, with and without a cursor."""
    counted = [(name, 1) for name in FILTERS] + [("status", 2), ("status", 3)]
    for size in range(4):
        for filters in itertools.combinations(counted, size):
            if len({name for name, _ in filters}) < size:
                continue
            for sort, is_staff, after in itertools.product(SORTS, (False, True), (False, True)):
                yield Shape(Order(sort), filters, is_staff, after, limit=20)


@pytest.mark.django_db
def test_every_list_uses_an_index_without_sort_or_scan() -> None:
    me = make_user()
    values: dict[str, Any] = {"owner_id": me.id, "cursor_id": me.id, "q": "%x%", "name": "x"}
    values |= {name: DAWN for name in FILTERS if name.endswith(("_after", "_before"))}
    values |= {f"status_{number}": "draft" for number in range(3)}
    if connection.vendor != "sqlite":
        with connection.cursor() as cursor:
            # Without these plans, PostgreSQL shows whether an index exists, however small the table.
            cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
            cursor.execute("SET LOCAL enable_bitmapscan = off; SET LOCAL enable_incremental_sort = off")
    seen = 0
    for shape in shapes():
        values["cursor_value"] = "x" if shape.order.field == "name" else DAWN
        plan = explain(shape, values)
        message = f"{shape}: {plan}"
        seen += 1
        if connection.vendor == "sqlite":
            index = f"item_{'' if shape.is_staff else 'owner_'}"
            assert len(plan) == 1, message
            assert f"item USING INDEX {index}" in plan[0], message
            assert shape.is_staff or "SEARCH" in plan[0], message
        else:
            assert not any("Sort" in line or "Seq Scan" in line for line in plan), message
    assert seen > 2000


@pytest.mark.django_db
@pytest.mark.skipif("connection.vendor != 'sqlite'")
@pytest.mark.parametrize(
    ("sort", "filters", "plan"),
    [
        ("-created_at", ("created_after",), "created_at>? AND (created_at,id)<(?,?)"),
        ("-created_at", ("created_before",), "owner_id=? AND (created_at,id)<(?,?))"),
        ("created_at", ("created_before",), "(created_at,id)>(?,?) AND created_at<?"),
        ("-created_at", ("status",), "owner_id=? AND status=? AND (created_at,id)<(?,?)"),
        ("name", ("name",), "owner_id=? AND name=? AND id>?"),
        ("-updated_at", ("name", "status"), "item_owner_updated (owner_id=? AND (updated_at,id)<(?,?)"),
    ],
)
def test_index_range_starts_at_the_cursor_and_ends_at_the_filter(
    sort: str, filters: tuple[str, ...], plan: str
) -> None:
    me = make_user()
    values = {"owner_id": me.id, "cursor_id": me.id, "cursor_value": DAWN, "status_0": "draft", "name": "x"}
    values |= {"created_after": DAWN, "created_before": DAWN}
    if sort == "name":
        values["cursor_value"] = "x"
    counted = tuple((name, 1) for name in filters)
    assert plan in explain(Shape(Order(sort), counted, is_staff=False, after_cursor=True, limit=20), values)[0]
