"""What moves rows into the index, in the service's own process."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from django.db import connection, transaction

from core.database.pool import database
from core.http.problems import Conflict
from core.resources.search import indexer as module
from core.resources.search import sqlite_index
from core.resources.search.indexer import Indexer
from items.models import Item
from tests.core.resources.search.index import TABLE, ask, fill, found, segments
from tests.databases import IS_POSTGRES
from tests.items.rows import DAWN, make_user

SECONDS = 20.0
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(IS_POSTGRES, reason="PostgreSQL keeps its index by itself"),
]


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECK_EVERY_SECONDS", {"sqlite": 0.01})
    with transaction.atomic():
        sqlite_index.create(TABLE)


def make_items(count: int) -> None:
    owner = make_user()
    Item.objects.bulk_create(Item(name=f"item {n}", owner=owner, updated_at=DAWN) for n in range(count))


@asynccontextmanager
async def opened() -> AsyncIterator[Indexer]:
    """An indexer at work on the open database."""
    await database.open()
    indexer = Indexer()
    await indexer.open()
    try:
        async with asyncio.timeout(SECONDS):
            yield indexer
    finally:
        await indexer.close()
        await database.close()
        assert not indexer.is_ready(TABLE)


def run(until: Callable[[], bool], *, is_ready: bool = True) -> None:
    """Runs an indexer until something holds and it says whether the index is good."""

    async def job() -> None:
        async with opened() as indexer:
            while indexer.is_ready(TABLE) != is_ready or not await database.read(until):  # noqa: ASYNC110  # nothing tells
                await asyncio.sleep(0.01)

    asyncio.run(job())


def play(scene: Callable[[], Awaitable[None]]) -> None:
    """Runs a scene while an indexer is at work that has nothing to do but what belongs to a commit."""

    async def job() -> None:
        async with opened():
            await scene()

    asyncio.run(job())


def waiting() -> int:
    return sqlite_index.backlog(TABLE, at_most=10_000)


def test_idle_writer_indexes_what_waits_in_batches() -> None:
    at_once = module.BATCH + module.BATCH_AT_COMMIT
    make_items(2 * at_once + 7)
    run(lambda: waiting() < module.BATCH)
    # A few are not worth a transaction, but go with any other.
    assert waiting() in (0, 7)
    assert ask("SELECT count(*) FROM item_search WHERE item_search MATCH 'ite'") == [(2 * at_once + 7 - waiting(),)]


def test_start_does_not_wait_for_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECK_EVERY_SECONDS", {"sqlite": 3600})
    make_items(2 * module.BATCH)

    async def job() -> None:
        async with opened() as indexer:
            assert indexer.is_ready(TABLE)
            assert await database.read(waiting) == 2 * module.BATCH

    asyncio.run(job())


def test_busy_writer_indexes_what_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 300)
    monkeypatch.setattr(type(database), "stats", lambda self: {"size": 1, "jobs": 32})
    make_items(1000)
    run(lambda: waiting() <= 300)
    assert waiting() == 1000 - 3 * module.BATCH


def test_index_of_other_rows_is_filled_anew(caplog: pytest.LogCaptureFixture) -> None:
    make_items(module.BATCH)
    fill()
    ask("UPDATE item SET rowid = rowid + 1000000")
    with caplog.at_level(logging.WARNING, "agent_router.search"):
        run(lambda: sqlite_index.is_whole(TABLE) and waiting() < module.BATCH)
    assert "being rebuilt" in caplog.text


def test_damaged_index_is_filled_anew(caplog: pytest.LogCaptureFixture) -> None:
    make_items(2 * module.BATCH)
    fill()
    ask("INSERT INTO item_search(item_search) VALUES ('delete-all')")
    Item.objects.update(name="changed")
    with caplog.at_level(logging.WARNING, "agent_router.search"):
        run(lambda: waiting() < module.BATCH)
    assert "corrupt" in caplog.text
    assert ask("SELECT count(*) FROM item_search WHERE item_search MATCH 'cha'") == [(2 * module.BATCH,)]


def test_no_index_no_trouble(caplog: pytest.LogCaptureFixture) -> None:
    sqlite_index.drop(TABLE)
    try:
        with caplog.at_level(logging.WARNING, "agent_router.search"):
            run(lambda: True, is_ready=False)
    finally:
        with transaction.atomic():
            sqlite_index.create(TABLE)
    assert "every row" in caplog.text


def test_what_is_written_is_in_the_index_with_its_commit() -> None:
    owner = make_user()

    def make(name: str) -> None:
        Item.objects.create(name=name, owner=owner, updated_at=DAWN)

    def make_and_fail() -> None:
        make("undone")
        raise Conflict

    async def scene() -> None:
        await database.write(partial(make, "alone"))
        assert await database.read(partial(found, "alo")) == {"alone"}
        results = await asyncio.gather(
            *[database.write(partial(make, f"together {n}")) for n in range(70)],
            database.write(make_and_fail),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [type(None)] * 70 + [Conflict]
        assert len(await database.read(partial(found, "tog"))) == 70
        await database.write(lambda: Item.objects.filter(name="alone").update(name="changed"))
        assert await database.read(partial(found, "cha")) == {"changed"}
        await database.write(lambda: Item.objects.filter(name="changed").delete())
        assert (
            await database.read(partial(ask, "SELECT term FROM item_search_terms WHERE term IN ('alo', 'cha', 'und')"))
            == []
        )
        assert await database.read(waiting) == 0

    play(scene)


def test_what_others_wrote_is_indexed_with_the_next_commit() -> None:
    make_items(3)

    async def scene() -> None:
        assert await database.read(waiting) == 3
        await database.write(lambda: make_user(is_staff=True))
        assert await database.read(waiting) == 0

    play(scene)


def test_write_does_not_fail_for_a_damaged_index(caplog: pytest.LogCaptureFixture) -> None:
    make_items(3)
    fill()
    ask("INSERT INTO item_search(item_search) VALUES ('delete-all')")

    async def scene() -> None:
        await database.write(lambda: Item.objects.update(name="changed"))
        assert {item.name for item in await database.read(lambda: list(Item.objects.all()))} == {"changed"}
        while not await database.read(partial(found, "cha")):
            await database.write(lambda: None)

    with caplog.at_level(logging.WARNING, "agent_router.search"):
        play(scene)
    assert "being rebuilt" in caplog.text


@pytest.mark.parametrize(
    "change",
    ["name = CAST(x'ff4d' AS TEXT)", "name = CAST(x'eda080' AS TEXT)", "description = x'00ff'", "owner_id = 'nobody'"],
)
def test_what_is_no_text_keeps_nothing_out_of_the_index(change: str, caplog: pytest.LogCaptureFixture) -> None:
    """A script may have written it: in Latin-1, half of a surrogate pair, without heeding foreign keys."""
    make_items(2)
    fill()
    make_items(2)
    ask("PRAGMA foreign_keys = OFF")
    ask(f"UPDATE item SET {change} WHERE name = 'item 1'")
    owner = make_user()

    async def scene() -> None:
        await database.write(partial(Item.objects.create, name="after it", owner=owner, updated_at=DAWN))
        assert await database.read(waiting) == 0
        assert await database.read(partial(found, "aft")) == {"after it"}
        await database.write(lambda: ask("DELETE FROM item WHERE name <> 'after it'"))
        assert await database.read(waiting) == 0
        assert await database.read(partial(ask, "SELECT doc FROM item_search_terms WHERE term = 'ite'")) == []

    play(scene)
    assert not caplog.records


def test_index_that_takes_nothing_is_left_alone_until_it_does(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> int:
        raise ValueError("not today")

    async def job() -> None:
        async with opened() as indexer:
            with monkeypatch.context() as context:
                context.setattr(sqlite_index, "fill", broken)
                while len(caplog.records) < 2:
                    await database.write(make_user)
                for _ in range(10):
                    await database.write(make_user)
                    await asyncio.sleep(0.01)
                assert not indexer.is_ready(TABLE)
            while not indexer.is_ready(TABLE):  # noqa: ASYNC110  # nothing tells
                await asyncio.sleep(0.01)

    asyncio.run(job())
    assert len(caplog.records) == 2, "once by a commit, once by the look at the index"


def test_idle_writer_merges_what_commits_have_left() -> None:
    async def scene() -> None:
        for _ in range(20):
            await database.write(lambda: make_items(1))
        while await database.read(segments) > 4:  # noqa: ASYNC110  # nothing tells
            await asyncio.sleep(0.01)
        count = "SELECT count(*) FROM item_search WHERE item_search MATCH 'ite'"
        assert await database.read(partial(ask, count)) == [(20,)]

    play(scene)


def test_damaged_rows_spoil_neither_the_index_nor_what_others_write(caplog: pytest.LogCaptureFixture) -> None:
    make_items(3)
    fill()
    owner = make_user()
    for number in range(40):
        Item.objects.create(name=f"new {number}", description=f"leaf {number} " * 50, owner=owner, updated_at=DAWN)
    ask("PRAGMA wal_checkpoint(TRUNCATE)")
    file = Path(connection.settings_dict["NAME"])
    connection.close()
    good = file.read_bytes()
    page = good.index(b"leaf 20 leaf 20") // 4096 * 4096
    try:
        with file.open("r+b") as disk:
            disk.seek(page)
            disk.write(b"\xff" * 4096)

        async def job() -> None:
            async with opened() as indexer:
                await database.write(make_user)
                assert not indexer.is_ready(TABLE)
                for _ in range(10):
                    await asyncio.gather(*[database.write(make_user) for _ in range(3)])
                while "could not be maintained" not in caplog.text:  # noqa: ASYNC110  # nothing tells
                    await asyncio.sleep(0.01)
                assert len(await database.read(partial(ask, "SELECT 1 FROM item_search WHERE item_search MATCH 'ite'")))

        asyncio.run(job())
    finally:
        connection.close()
        for name in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
            name.unlink(missing_ok=True)
        file.write_bytes(good)
    assert "being rebuilt" not in caplog.text
