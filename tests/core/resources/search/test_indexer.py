"""The indexer, which moves rows into the search index within the service's process."""

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
from tests.core.resources.search.index import TABLE, execute, fill, found, segments
from tests.databases import IS_POSTGRES
from tests.items.rows import DAWN, make_user

SECONDS = 60.0
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(IS_POSTGRES, reason="PostgreSQL maintains its own index"),
]


@pytest.fixture(autouse=True)
def frequent_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECK_EVERY_SECONDS", {"sqlite": 0.01})
    with transaction.atomic():
        sqlite_index.create(TABLE)


def make_items(count: int) -> None:
    owner = make_user()
    Item.objects.bulk_create(Item(name=f"item {n}", owner=owner, updated_at=DAWN) for n in range(count))


@asynccontextmanager
async def opened() -> AsyncIterator[Indexer]:
    """Open the database and an indexer."""
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
    """Run an indexer until the condition holds and `indexer.is_ready` equals `is_ready`."""

    async def job() -> None:
        async with opened() as indexer:
            while indexer.is_ready(TABLE) != is_ready or not await database.read(until):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    asyncio.run(job())


def play(scene: Callable[[], Awaitable[None]]) -> None:
    """Run a scene with an indexer that only works at commits."""

    async def job() -> None:
        async with opened():
            await scene()

    asyncio.run(job())


def waiting() -> int:
    return sqlite_index.backlog(TABLE, at_most=10_000)


def test_idle_writer_indexes_waiting_rows_in_batches() -> None:
    in_first_batches = module.BATCH + module.BATCH_AT_COMMIT
    make_items(2 * in_first_batches + 7)
    run(lambda: waiting() < module.BATCH)
    # A small rest is not worth a transaction: it is indexed with the next commit.
    assert waiting() in (0, 7)
    indexed = execute("SELECT count(*) FROM item_search WHERE item_search MATCH 'ite'")
    assert indexed == [(2 * in_first_batches + 7 - waiting(),)]


def test_startup_does_not_wait_for_waiting_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECK_EVERY_SECONDS", {"sqlite": 3600})
    make_items(2 * module.BATCH)

    async def job() -> None:
        async with opened() as indexer:
            assert indexer.is_ready(TABLE)
            assert await database.read(waiting) == 2 * module.BATCH

    asyncio.run(job())


def test_busy_writer_indexes_rows_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 300)
    monkeypatch.setattr(type(database), "stats", lambda self: {"size": 1, "jobs": 32})
    make_items(1000)
    run(lambda: waiting() <= 300)
    assert waiting() == 1000 - 3 * module.BATCH


def test_index_with_other_rowids_is_rebuilt(caplog: pytest.LogCaptureFixture) -> None:
    make_items(module.BATCH)
    fill()
    execute("UPDATE item SET rowid = rowid + 1000000")
    with caplog.at_level(logging.WARNING, "agent_router.search"):
        run(lambda: sqlite_index.is_whole(TABLE) and waiting() < module.BATCH)
    assert "being rebuilt" in caplog.text


def test_damaged_index_is_rebuilt(caplog: pytest.LogCaptureFixture) -> None:
    make_items(2 * module.BATCH)
    fill()
    execute("INSERT INTO item_search(item_search) VALUES ('delete-all')")
    Item.objects.update(name="changed")
    with caplog.at_level(logging.WARNING, "agent_router.search"):
        run(lambda: waiting() < module.BATCH)
    assert "corrupt" in caplog.text
    assert execute("SELECT count(*) FROM item_search WHERE item_search MATCH 'cha'") == [(2 * module.BATCH,)]


def test_missing_index_only_logs_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    sqlite_index.drop(TABLE)
    try:
        with caplog.at_level(logging.WARNING, "agent_router.search"):
            run(lambda: True, is_ready=False)
    finally:
        with transaction.atomic():
            sqlite_index.create(TABLE)
    assert "every row" in caplog.text


def test_rows_are_indexed_in_the_commit_that_writes_them() -> None:
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
            await database.read(
                partial(execute, "SELECT term FROM item_search_terms WHERE term IN ('alo', 'cha', 'und')")
            )
            == []
        )
        assert await database.read(waiting) == 0

    play(scene)


def test_rows_of_other_processes_are_indexed_with_the_next_commit() -> None:
    make_items(3)

    async def scene() -> None:
        assert await database.read(waiting) == 3
        await database.write(lambda: make_user(is_staff=True))
        assert await database.read(waiting) == 0

    play(scene)


def test_damaged_index_does_not_fail_a_write(caplog: pytest.LogCaptureFixture) -> None:
    make_items(3)
    fill()
    execute("INSERT INTO item_search(item_search) VALUES ('delete-all')")

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
def test_invalid_row_does_not_keep_others_out_of_the_index(change: str, caplog: pytest.LogCaptureFixture) -> None:
    """Scripts may write such rows: Latin-1, half a surrogate pair, or without checking foreign keys."""
    make_items(2)
    fill()
    make_items(2)
    execute("PRAGMA foreign_keys = OFF")
    execute(f"UPDATE item SET {change} WHERE name = 'item 1'")
    owner = make_user()

    async def scene() -> None:
        await database.write(partial(Item.objects.create, name="after it", owner=owner, updated_at=DAWN))
        assert await database.read(waiting) == 0
        assert await database.read(partial(found, "aft")) == {"after it"}
        await database.write(lambda: execute("DELETE FROM item WHERE name <> 'after it'"))
        assert await database.read(waiting) == 0
        assert await database.read(partial(execute, "SELECT doc FROM item_search_terms WHERE term = 'ite'")) == []

    play(scene)
    assert not caplog.records


def test_failing_index_is_not_used_until_it_recovers(
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
            while not indexer.is_ready(TABLE):  # noqa: ASYNC110  # there is no event
                await asyncio.sleep(0.01)

    asyncio.run(job())
    assert len(caplog.records) == 2, "one warning from a commit and one from the periodic check"


def test_idle_writer_merges_the_segments_of_commits() -> None:
    async def scene() -> None:
        for _ in range(20):
            await database.write(lambda: make_items(1))
        while await database.read(segments) > 4:  # noqa: ASYNC110  # there is no event
            await asyncio.sleep(0.01)
        count = "SELECT count(*) FROM item_search WHERE item_search MATCH 'ite'"
        assert await database.read(partial(execute, count)) == [(20,)]

    play(scene)


def test_corrupt_page_stops_neither_the_index_nor_other_writes(caplog: pytest.LogCaptureFixture) -> None:
    make_items(3)
    fill()
    owner = make_user()
    for number in range(40):
        Item.objects.create(name=f"new {number}", description=f"leaf {number} " * 50, owner=owner, updated_at=DAWN)
    execute("PRAGMA wal_checkpoint(TRUNCATE)")
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
                while "could not be maintained" not in caplog.text:  # noqa: ASYNC110  # there is no event
                    await asyncio.sleep(0.01)
                assert len(
                    await database.read(partial(execute, "SELECT 1 FROM item_search WHERE item_search MATCH 'ite'"))
                )

        asyncio.run(job())
    finally:
        connection.close()
        for name in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
            name.unlink(missing_ok=True)
        file.write_bytes(good)
    assert "being rebuilt" not in caplog.text
