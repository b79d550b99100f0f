"""Who finds nothing in the cache waits for another's look, if that may be trusted. `World` checks after each step."""

import pytest

from tests.core.resources.cache.conftest import Play
from tests.core.resources.cache.steps import do, look
from tests.core.resources.cache.world import World


@pytest.mark.parametrize("is_fresh", [True, False])
def test_many_who_find_nothing_share_one_look(play: Play, is_fresh: bool) -> None:
    async def scene(world: World) -> None:
        one, _ = world.processes
        if not is_fresh:
            await do(world, one, "read")
            await world.advance(70)
        readers = await world.start_together("read", one, "a", count=20)
        assert sum(reader.gate is not None for reader in readers) == 1
        await world.finish(readers[0])
        await world.settle()
        assert all(reader.task.done() for reader in readers)

    play(scene)


def test_nobody_joins_a_look_from_before_a_change_of_which_it_may_not_know(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        await do(world, other, "fail")  # it knows the epoch
        await world.advance(4)
        first = await look(world, other)
        await do(world, one, "orm")
        second = await world.start("read", other, "a")
        assert second.gate, "it looks for itself"
        await world.finish(second)
        await world.finish(first)

    play(scene)


@pytest.mark.parametrize("kind", ["change", "touch", "delete"])
def test_nobody_joins_a_look_from_before_a_change_whose_entry_has_expired(play: Play, kind: str) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        first = await look(world, other)
        await do(world, one, kind)
        await world.advance(70)
        second = await world.start("read", other, "a")
        assert second.gate, "it looks for itself"
        await world.finish(second)
        await world.finish(first)

    play(scene)


def test_nobody_joins_a_look_from_before_while_redis_does_not_answer(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        await do(world, other, "fail")
        await world.advance(4)
        first = await look(world, other)
        await do(world, one, "change")
        other.redis.loses = "reply"  # that there is an entry now
        second = await world.start("read", other, "a")
        await world.advance(1)  # what was lost may have been said by another Redis: it waits for a lease
        assert second.gate, "it looks for itself"
        await world.finish(second)
        await world.finish(first)

    play(scene)
