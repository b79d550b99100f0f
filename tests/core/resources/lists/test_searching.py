"""The number of rows that a search reads stays small, however rare or common its text is."""

import itertools
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from django.db import connection, transaction

from core.auth.models import User
from core.http.principal import Principal
from core.resources.lists import searching
from core.resources.lists.cursors import Order
from core.resources.lists.statements import Plan, Shape
from core.resources.search import building
from core.resources.search.indexer import indexer
from items.lists import item_list
from items.models import Item
from items.schemas import ItemQuery
from tests.core.resources.search.index import TABLE
from tests.items.rows import DAWN, make_item, make_user, principal_of, with_database

SORTS = [sign + field for field in ("created_at", "updated_at", "name") for sign in ("", "-")]
sqlite_only = pytest.mark.skipif("connection.vendor != 'sqlite'", reason="query plans of SQLite")
postgresql_only = pytest.mark.skipif("connection.vendor == 'sqlite'", reason="query plans of PostgreSQL")
ROWS = 3000


class FoldCounter:
    """Counts how many texts a search folds, on the connections of the database's threads."""

    def __init__(self) -> None:
        self.count = 0

    def casefold(self, text: str) -> str:
        self.count += 1
        return text.casefold()


@pytest.fixture
def folds(monkeypatch: pytest.MonkeyPatch) -> FoldCounter:
    counter = FoldCounter()

    def fetch(self: Any, *arguments: Any, **options: Any) -> Any:
        connection.ensure_connection()
        connection.connection.create_function("casefold", 1, counter.casefold, deterministic=True)
        return real(self, *arguments, **options)

    real = searching.ListSearch.fetch
    monkeypatch.setattr(searching.ListSearch, "fetch", fetch)
    return counter


@pytest.fixture
def two_users(transactional_db: None) -> Iterator[tuple[User, User]]:
    """Return a user with many items and a user with few of them in between, all indexed."""
    many, few = make_user(), make_user()
    Item.objects.bulk_create(
        Item(
            name=f"item {number:05}",
            description="rarely" if number % 1000 == 500 else f"often, code {number % 200}",
            owner=few if number % 300 == 1 else many,
            status=Item.Status.DRAFT if number % 3 else Item.Status.ACTIVE,
            created_at=DAWN,
            updated_at=DAWN,
        )
        for number in range(ROWS)
    )
    building.build(TABLE)
    indexer._ready.add(TABLE)
    yield many, few
    indexer._ready.clear()


def search(principal: Principal, **query: Any) -> dict[str, Any]:
    page = with_database(lambda: item_list.page(principal, ItemQuery.model_validate(query)))
    found: dict[str, Any] = orjson.loads(page.body)
    return found


@sqlite_only
@pytest.mark.parametrize("sort", SORTS)
def test_search_folds_few_texts_for_rare_and_common_words(
    sort: str, two_users: tuple[User, User], folds: FoldCounter
) -> None:
    staff = make_user(is_staff=True)
    window = 2 * searching.STEPS[0][0] + 100
    for user, text, count, most in (
        (two_users[0], "OFTEN", 20, 100),
        (two_users[0], "rarely", 3, window),
        (two_users[0], "ly", 3, window),
        (two_users[0], "y", 3, window),
        (two_users[0], "nowhere", 0, window),
        (two_users[0], "often rarely", 0, window),
        (two_users[0], "code 17", 20, window + 500),
        (two_users[1], "often", 10, 100),
        (two_users[1], "rarely", 0, 100),
        (staff, "rarely", 3, window),
        (staff, "often", 20, 100),
    ):
        folds.count = 0
        items = search(principal_of(user), q=text, sort=sort)["items"]
        assert len(items) == count, text
        assert folds.count <= most, f"{text}: {folds.count}"


@sqlite_only
def test_deep_pages_and_totals_fold_few_texts(two_users: tuple[User, User], folds: FoldCounter) -> None:
    principal, cursor = principal_of(two_users[0]), None
    for _ in range(6):
        folds.count = 0
        page = search(principal, q="often", sort="name", limit=100, cursor=cursor)
        cursor = page["next_cursor"]
        assert folds.count <= 400
    folds.count = 0
    assert search(principal, q="rarely", total=True, limit=1)["total"] == 3
    assert folds.count <= 2 * searching.STEPS[0][0] + 100


def test_search_without_an_index_finds_the_same_items(two_users: tuple[User, User]) -> None:
    for text, total in (("rarely", 3), ("OFTEN", ROWS - 13), ("ly", 3), ("%", 0)):
        pages = []
        for is_ready in (True, False):
            indexer._ready.clear()
            indexer._ready.update({TABLE} if is_ready else set())
            pages.append(search(principal_of(two_users[0]), q=text, sort="name", total=True))
        assert pages[0] == pages[1]
        assert pages[0]["total"] == total


def values(shape: Shape, user: User) -> dict[str, Any]:
    place = "x" if shape.order.field == "name" else DAWN
    given: dict[str, Any] = {"owner_id": user.id, "q": "%xyz%", "status_0": "draft"}
    given |= {"cursor_value": place, "cursor_id": user.id, "edge_value": place, "edge_id": user.id}
    given |= {"created_after": DAWN, "name": "x"}
    return given | {"candidates": "[1,2,3]"}


def explain(statement: Any, given: dict[str, Any]) -> list[str]:
    found: list[str] = []

    def explaining(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        begin = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
        result = execute(begin + sql, params, many, context)
        found.extend(str(row[-1]) for row in context["cursor"].fetchall())
        return result

    with connection.execute_wrapper(explaining):
        statement.execute(given)
    return found


def shapes(*plans: Plan) -> Iterator[Shape]:
    for sort, is_staff, after in itertools.product(SORTS, (False, True), (False, True)):
        for filters in ((), (("status", 1),), (("created_after", 1),)):
            for plan in plans:
                yield Shape(Order(sort), (*filters, ("q", 1)), is_staff, after, 20, plan)


@sqlite_only
@pytest.mark.django_db
def test_candidates_are_read_by_rowid() -> None:
    user = make_user()
    for shape in shapes(Plan.CANDIDATES):
        for statement in (item_list._statements.page(shape), item_list._statements.count(shape)):
            plan = explain(statement, values(shape, user))
            assert plan[0] == "SEARCH item USING INTEGER PRIMARY KEY (rowid=?)", f"{shape}: {plan}"
            assert "SCAN item" not in plan


@sqlite_only
@pytest.mark.django_db
def test_index_walk_of_a_search_has_an_end() -> None:
    user = make_user()
    for shape in shapes(Plan.WINDOW):
        [line] = explain(item_list._statements.page(shape), values(shape, user))
        field = shape.order.field
        end = f"({field},id){'>' if shape.order.is_descending else '<'}(?,?)"
        assert end in line, f"{shape}: {line}"
        assert "item USING INDEX" in line
    for shape in shapes(Plan.WALK):
        [line] = explain(item_list._statements.edge(shape, 250), values(shape, user))
        assert "COVERING INDEX" in line, f"{shape}: {line}"


@postgresql_only
@pytest.mark.django_db
def test_postgresql_takes_candidates_from_the_search_index() -> None:
    user = make_user()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off")
        cursor.execute("SET LOCAL enable_indexonlyscan = off")
    for shape in shapes(Plan.CANDIDATES):
        if shape.filters[1:] or not shape.is_staff:
            continue
        for statement in (item_list._statements.found(shape, 5000), item_list._statements.count(shape)):
            plan = explain(statement, values(shape, user))
            assert any("Bitmap Index Scan on item_search" in line for line in plan), f"{shape}: {plan}"


def rows_looked_at(plan: dict[str, Any]) -> int:
    """Return how many rows of the table a plan read when it ran."""
    count: int = sum(rows_looked_at(below) for below in plan.get("Plans", ()))
    if plan.get("Relation Name"):
        count += plan["Actual Loops"] * plan["Actual Rows"]
        count += sum(plan.get(f"Rows Removed by {why}", 0) for why in ("Filter", "Index Recheck"))
    return count


@postgresql_only
def test_postgresql_reads_no_more_rows_than_a_search_allows(two_users: tuple[User, User]) -> None:
    shape = Shape(Order("name"), (("q", 1),), is_staff=False, after_cursor=False, limit=20)
    # With so few items, the planner prefers to read all items of an owner.
    of_everyone = shape._replace(is_staff=True)
    plans: list[Any] = []

    def explaining(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute("EXPLAIN (ANALYZE, FORMAT JSON) " + sql, params, many, context)
        [[[tree]]] = context["cursor"].fetchall()
        plans.append(tree["Plan"])
        return result

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ANALYZE item; SET LOCAL enable_seqscan = off")
        for statement, text, most in (
            # Some items of the other user are in between.
            (item_list._statements.among_first(shape, 250), "nowhere", 255),
            (item_list._statements.among_first(shape, 250), "often", 30),
            (item_list._statements.found(of_everyone, 5000), "rarely", 10),
            (item_list._statements.found(of_everyone, 100), "often", 102),
        ):
            with connection.execute_wrapper(explaining):
                statement.execute({"owner_id": two_users[0].id, "q": f"%{text}%"})
            plan = plans.pop()
            assert rows_looked_at(plan) <= most, f"{text}: {plan}"


@postgresql_only
def test_postgresql_needs_a_second_query_only_for_rare_words(two_users: tuple[User, User]) -> None:
    statements: list[str] = []

    def record(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        statements.append(sql)
        return execute(sql, params, many, context)

    for user, text, found, queries in (
        (two_users[0], "often", 21, 1),
        (two_users[0], "rarely", 3, 2),
        (two_users[0], "nowhere", 0, 2),
        (two_users[1], "often", 10, 1),
        (two_users[1], "rarely", 0, 1),
    ):
        shape = Shape(Order("-created_at"), (("q", 1),), user.is_staff, after_cursor=False, limit=20)
        given = {"owner_id": user.id, "q": f"%{text}%"}
        statements.clear()
        with connection.execute_wrapper(record):
            rows, _ = item_list._search.fetch(shape, given, text=text, is_counted=False)
        assert (len(rows), len(statements)) == (found, queries), text


@sqlite_only
@pytest.mark.django_db
def test_totals_are_counted_in_a_covering_index() -> None:
    """A covering index keeps the cost of a total independent of the size of the items."""
    make_item(user := make_user())
    for filters in ((), (("status", 1),), (("name", 1),), (("created_after", 1),)):
        for is_staff in (False, True):
            shape = Shape(Order("-created_at"), filters, is_staff, after_cursor=False, limit=20)
            [line] = explain(item_list._statements.count(shape), values(shape, user))
            is_narrow = not is_staff or (filters and filters[0][0] != "status")
            assert ("SEARCH" in line) == bool(is_narrow), f"{shape}: {line}"
            assert "COVERING INDEX" in line, f"{shape}: {line}"
