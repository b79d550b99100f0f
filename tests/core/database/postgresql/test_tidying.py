"""PostgreSQL's pending list of the search index is merged in the background, and not by a request."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import psycopg
import pytest
from django.db import transaction

from core.database.pool import database
from core.resources.search import postgresql_index, tidying
from core.resources.search.indexer import Indexer
from items.models import Item
from tests.core.resources.search.index import TABLE, execute
from tests.items.rows import DAWN, make_user

SECONDS = 60.0

type Scene = Callable[[], Awaitable[None]]


@pytest.fixture
def other(dsn: str, use: Callable[..., None]) -> Iterator[psycopg.Connection[Any]]:
    """The connection of another program to the test's database."""
    use(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pgstattuple")
        yield connection


def beside(other: psycopg.Connection[Any]) -> int:
    """Return the size of the index's pending list."""
    row = other.execute("SELECT pending_tuples FROM pgstatginindex('item_search')").fetchone()
    assert row
    return int(row[0])


async def until_nothing_is_beside(other: psycopg.Connection[Any]) -> None:
    while beside(other):  # noqa: ASYNC110  # nothing tells
        await asyncio.sleep(0.01)


@pytest.fixture
def write() -> Callable[[int], Awaitable[None]]:
    """Return write(count), which writes items in one transaction each."""

    async def write(count: int) -> None:
        owner = await database.write(make_user)
        for number in range(count):
            item = Item(name=f"item {number}", owner=owner, updated_at=DAWN)
            await database.write(partial(item.save, force_insert=True))

    return write


def play(scene: Scene) -> None:
    """Run a scene while an indexer works on the open database."""

    async def job() -> None:
        await database.open()
        indexer = Indexer()
        await indexer.open()
        try:
            async with asyncio.timeout(SECONDS):
                await scene()
        finally:
            await indexer.close()
            await database.close()

    asyncio.run(job())


@pytest.mark.parametrize("bounds", [{"FIRST_ENOUGH": 1, "MOST_ENOUGH": 1}, {"MOST_SECONDS": 0.1}])
def test_written_rows_are_moved_into_the_index(
    other: psycopg.Connection[Any],
    write: Callable[[int], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
    bounds: dict[str, float],
) -> None:
    """A long list is merged soon, a short list later."""
    for name, value in {"LOOK_EVERY_SECONDS": 0.01, **bounds}.items():
        monkeypatch.setattr(tidying, name, value)

    async def scene() -> None:
        await write(8)
        await until_nothing_is_beside(other)

    play(scene)
    assert other.execute("SELECT count(*) FROM item").fetchone() == (8,)


def test_without_ownership_the_index_is_left_to_autovacuum(other: psycopg.Connection[Any]) -> None:
    Item.objects.create(name="one", owner=make_user(), updated_at=DAWN)
    other.execute("CREATE ROLE stranger")
    with transaction.atomic():
        execute("SET LOCAL ROLE stranger")
        assert postgresql_index.tidy(TABLE) is None
    assert beside(other) > 0


def test_tidying_waits_for_long_locks(
    other: psycopg.Connection[Any],
    write: Callable[[int], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(tidying, "LOOK_EVERY_SECONDS", 0.01)

    async def scene() -> None:
        await write(1)
        with other.transaction(force_rollback=True):
            other.execute("DROP INDEX item_search")
            monkeypatch.setattr(tidying, "MOST_SECONDS", 0.1)
            while "could not be tidied" not in caplog.text:  # noqa: ASYNC110  # nothing tells
                await asyncio.sleep(0.01)
        await until_nothing_is_beside(other)

    play(scene)
