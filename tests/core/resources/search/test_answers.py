"""A search returns the same results with and without the index, whatever was written before."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.auth.models import User
from core.resources.lists import searching
from core.resources.search import building, sqlite_index
from core.resources.search.indexer import indexer
from items.lists import item_list
from items.models import Item
from items.schemas import ItemQuery
from tests.core.resources.search.index import TABLE
from tests.items.rows import make_item, make_user, principal_of, with_database

IS_SQLITE = connection.vendor == "sqlite"
pytestmark = pytest.mark.django_db(transaction=True)

PIECES = ["a", "B", "%", "_", "\\", '"', "'", " AND ", "*", "ß", "ẞ", "ſ", "İ", "ı", "I", "Σ", "σ", "ς", "é", "E\u0301"]
PIECES += ["漢", "字", "\n", "-", "(", "\U0010ffff", "\U0001f600", "ﬁ", "\u0345", "x", "yz"]
TEXT = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)
WORDS = st.sampled_from(["ab", "abc", "abcd", "straße", "STRASSE", "ΣΊΣΥΦΟΣ", "100%", "a_b", "漢字漢", "a", "%"])
WRITE = st.one_of(
    st.tuples(st.just("create"), TEXT | WORDS, TEXT | WORDS),
    st.tuples(st.just("rename"), st.integers(0, 9), TEXT | WORDS),
    st.tuples(st.just("describe all"), TEXT | WORDS, st.none()),
    st.tuples(st.just("delete"), st.integers(0, 9), st.none()),
    st.tuples(st.just("give away"), st.integers(0, 9), st.none()),
    st.tuples(st.just("fill"), st.integers(1, 5), st.none()),
    st.tuples(st.just("roll back"), TEXT | WORDS, st.none()),
)
SORTS = st.sampled_from(["created_at", "-created_at", "name", "-name", "-updated_at"])


@contextmanager
def with_index(*, is_used: bool) -> Iterator[None]:
    """Switch the index on or off for searches."""
    indexer._ready.clear()
    if is_used:
        indexer._ready.add(TABLE)
    try:
        yield
    finally:
        indexer._ready.clear()


def write(owners: list[User], kind: str, one: Any, other: Any) -> None:
    items = list(Item.objects.order_by("id"))
    if kind == "create":
        make_item(owners[len(items) % 2], name=one, description=other, created=len(items) % 3)
    elif kind == "describe all":
        Item.objects.update(description=one)
    elif kind == "fill":
        if IS_SQLITE:
            with transaction.atomic():
                sqlite_index.fill(TABLE, batch=one)
    elif kind == "roll back":
        with transaction.atomic():
            Item.objects.update(name=one)
            Item.objects.all().delete()
            transaction.set_rollback(True)
    elif items:
        item = items[one % len(items)]
        if kind == "rename":
            item.name = other
            item.save(update_fields=["name"])
        elif kind == "give away":
            Item.objects.filter(id=item.id).update(owner=owners[0] if item.owner_id == owners[1].id else owners[1])
        else:
            item.delete()


def pages_of(user: User, queries: list[dict[str, Any]]) -> list[Any]:
    """Return every page of each query."""

    async def fetch() -> list[Any]:
        found: list[Any] = []
        for query in queries:
            cursor = None
            while True:
                page = await item_list.page(principal_of(user), ItemQuery.model_validate({**query, "cursor": cursor}))
                body = orjson.loads(page.body)
                found.append(([item["id"] for item in body["items"]], body["total"]))
                if (cursor := page.next_cursor) is None:
                    break
        return found

    return with_database(fetch)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [searching.STEPS, ((1, 2), (3, 4), (5, 6)), ((1, 1000),)])
def test_index_does_not_change_results(monkeypatch: pytest.MonkeyPatch, steps: Any) -> None:
    monkeypatch.setattr(searching, "STEPS", steps)
    staff, *owners = make_user(is_staff=True), make_user(), make_user()

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        writes=st.lists(WRITE, min_size=4, max_size=25),
        texts=st.lists(TEXT | WORDS, min_size=1, max_size=4),
        sort=SORTS,
        limit=st.integers(1, 4),
        status=st.sampled_from([(), ("active",), ("draft",)]),
    )
    def check(writes: list[Any], texts: list[str], sort: str, limit: int, status: tuple[str, ...]) -> None:
        Item.objects.all().delete()
        for one in writes:
            write(owners, *one)
        common = {"sort": sort, "limit": limit, "total": True, "status": status}
        queries = [{"q": text, **common} for text in [*texts, "ab", "s"]]
        for user in (owners[0], staff):
            with with_index(is_used=False):
                expected = pages_of(user, queries)
            with with_index(is_used=True):
                assert pages_of(user, queries) == expected

    check()


@pytest.mark.parametrize("text", ["straße", "STRASSE", "ss", "ß", 'say "', "100%", "%", "_", "漢", "aß", "İ", "σς"])
def test_indexed_text_is_found(text: str) -> None:
    me = make_user()
    make_item(me, name='Straße, Σς: say "100%" İn 漢字_aß')
    make_item(me, name="nothing of the kind")
    building.build(TABLE)
    query = {"q": text, "total": True, "sort": "name"}
    with with_index(is_used=False):
        expected = pages_of(me, [query])
    with with_index(is_used=True):
        assert pages_of(me, [query]) == expected
    if IS_SQLITE:
        assert expected[0][1] == sum(text.casefold() in item.name.casefold() for item in Item.objects.all()) == 1
