"""One process uses another Redis than the other, which has not heard of it yet (a failover, a new address)."""

import asyncio
from collections.abc import Iterator

import pytest

from core.database.pool import database
from core.redis.client import RedisClient
from core.resources.cache.epoch import Epoch
from core.resources.cache.representations import Representation, RepresentationCache
from tests.redis_server import RedisServer

pytestmark = pytest.mark.django_db(transaction=True)

OLD, NEW = Representation(1, "o", b"old"), Representation(2, "o", b"new")
SECONDS = 30.0


@pytest.fixture
def two_servers() -> Iterator[tuple[RedisServer, RedisServer]]:
    with RedisServer() as one, RedisServer() as two:
        yield one, two


class Process:
    """One process's cache, over rows that all share."""

    def __init__(self, rows: list[Representation]) -> None:
        self.rows, self.client = rows, RedisClient()
        self.cache = RepresentationCache("thing", redis=self.client, epoch=Epoch(self.client))
        self.key = self.cache.key("x")

        self.has_looked = asyncio.Event()

    async def find(self) -> bytes:
        async def load() -> Representation:
            self.has_looked.set()
            return self.rows[-1]

        replies = await self.client.call([("GET", self.key)])
        found = await self.cache.find(self.key, replies[0] if replies else None, load)
        assert found is not None
        return found.body


@pytest.mark.parametrize("is_long", [False, True], ids=["the change ends first", "the reader ends first"])
def test_change_told_to_the_redis_of_before_is_seen_by_who_has_moved_on(
    two_servers: tuple[RedisServer, RedisServer], is_long: bool
) -> None:
    rows = [OLD]

    async def scene(stays: Process, moved: Process) -> None:
        readers = []

        async def commit() -> Representation:
            """The other process begins to use its Redis meanwhile, and may look at the row as it was."""
            readers.append(asyncio.ensure_future(moved.find()))
            looking = asyncio.ensure_future(moved.has_looked.wait())
            await asyncio.wait([readers[0] if is_long else looking], timeout=None if is_long else 0.01)
            looking.cancel()
            rows.append(NEW)
            return NEW

        assert await stays.find() == b"old"
        await stays.cache.change(stays.key, commit)
        assert [await stays.find(), await moved.find()] == [b"new", b"new"]
        await asyncio.gather(*readers)
        assert [await stays.find(), await moved.find()] == [b"new", b"new"]

    async def main() -> None:
        await database.open()
        stays, moved = Process(rows), Process(rows)
        try:
            for process, server in zip((stays, moved), two_servers, strict=True):
                await process.client.open(server.url, 5)
            async with asyncio.timeout(SECONDS):
                await scene(stays, moved)
        finally:
            for process in (stays, moved):
                await process.client.close()
            await database.close()

    asyncio.run(main())
