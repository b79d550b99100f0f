"""Two processes use different Redis servers, and one of them does not know it yet (failover, new address)."""

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
def two_redis() -> Iterator[tuple[RedisServer, RedisServer]]:
    with RedisServer() as one, RedisServer() as two:
        yield one, two


class Process:
    """The cache of one process. All processes share the rows."""

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


@pytest.mark.parametrize("reader_ends_first", [False, True], ids=["the change ends first", "the reader ends first"])
def test_change_made_on_the_old_redis_is_visible_on_the_new_one(
    two_redis: tuple[RedisServer, RedisServer], reader_ends_first: bool
) -> None:
    rows = [OLD]

    async def scene(old_process: Process, new_process: Process) -> None:
        readers = []

        async def commit() -> Representation:
            """Let the other process switch to its Redis during the change, where it may read the old row."""
            readers.append(asyncio.ensure_future(new_process.find()))
            first_look = asyncio.ensure_future(new_process.has_looked.wait())
            if reader_ends_first:
                await asyncio.wait(readers)
            else:
                await asyncio.wait([first_look], timeout=0.01)
            first_look.cancel()
            rows.append(NEW)
            return NEW

        assert await old_process.find() == b"old"
        await old_process.cache.change(old_process.key, commit)
        assert [await old_process.find(), await new_process.find()] == [b"new", b"new"]
        await asyncio.gather(*readers)
        assert [await old_process.find(), await new_process.find()] == [b"new", b"new"]

    async def main() -> None:
        await database.open()
        old_process, new_process = Process(rows), Process(rows)
        try:
            for process, server in zip((old_process, new_process), two_redis, strict=True):
                await process.client.open(server.url, 5)
            async with asyncio.timeout(SECONDS):
                await scene(old_process, new_process)
        finally:
            for process in (old_process, new_process):
                await process.client.close()
            await database.close()

    asyncio.run(main())
