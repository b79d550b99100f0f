"""Fixtures for tests that run a `World` step by step."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from core.redis.client import RedisClient
from core.resources.cache import epoch, representations
from tests.core.resources.cache.world import World
from tests.redis_server import RedisServer

type Play = Callable[[Callable[[World], Awaitable[None]]], None]


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def play(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Run a scene in its own world with two processes and the item "a"."""

    async def run(scene: Callable[[World], Awaitable[None]]) -> None:
        client = RedisClient()
        world = World(server, client)
        monkeypatch.setattr(epoch, "monotonic", world.clock)
        monkeypatch.setattr(representations, "monotonic", world.clock)
        await client.open(server.url, 5)
        await client.call([("FLUSHALL",)])
        world.add_process()
        world.add_process()
        world.create("a")
        await world.look_at_epochs()
        try:
            await scene(world)
        finally:
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                if "redis" not in task.get_name():
                    task.cancel()
            await client.close()

    def play_scene(scene: Callable[[World], Awaitable[None]]) -> None:
        asyncio.run(run(scene))

    return play_scene
