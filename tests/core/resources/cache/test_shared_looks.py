"""After a cache miss, a reader joins another reader's database read if that is safe. `World` checks every step."""

import pytest

from tests.core.resources.cache.conftest import Play
from tests.core.resources.cache.steps import run, start_reader
from tests.core.resources.cache.world import World


@pytest.mark.parametrize("is_fresh", [True, False])
def test_concurrent_cache_misses_share_one_database_read(play: Play, is_fresh: bool) -> None:
    async def scene(world: World) -> None:
        one, _ = world.processes
        if not is_fresh:
            await run(world, one, "read")
            await world.advance(70)
        readers = await world.start_together("read", one, "a", count=20)
        assert sum(reader.gate is not None for reader in readers) == 1
        await world.finish(readers[0])
        await world.settle()
        assert all(reader.task.done() for reader in readers)

    play(scene)


def test_reader_does_not_join_a_read_that_began_before_an_orm_change(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        await run(world, other, "fail")  # so that the process knows the epoch
        await world.advance(4)
        first = await start_reader(world, other)
        await run(world, one, "orm")
        second = await world.start("read", other, "a")
        assert second.gate, "the reader reads the row itself"
        await world.finish(second)
        await world.finish(first)

    play(scene)


@pytest.mark.parametrize("kind", ["change", "touch", "delete"])
def test_reader_does_not_join_an_older_read_after_the_entry_expired(play: Play, kind: str) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        first = await start_reader(world, other)
        await run(world, one, kind)
        await world.advance(70)
        second = await world.start("read", other, "a")
        assert second.gate, "the reader reads the row itself"
        await world.finish(second)
        await world.finish(first)

    play(scene)


def test_reader_does_not_join_an_older_read_while_redis_is_down(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        await run(world, other, "fail")
        await world.advance(4)
        first = await start_reader(world, other)
        await run(world, one, "change")
        other.redis.loses = "reply"  # the reply with the new entry
        second = await world.start("read", other, "a")
        await world.advance(1)  # the reader waits for a lease, because another Redis may have sent the lost reply
        assert second.gate, "the reader reads the row itself"
        await world.finish(second)
        await world.finish(first)

    play(scene)
