"""What could bring an old representation back, one step at a time. `World` checks after each that nothing has.

A read stops before and after its look into the database, a change before and after its commit.
"""

from typing import Any

import pytest

from tests.core.resources.cache.conftest import Play
from tests.core.resources.cache.steps import commit, do, is_hit, look
from tests.core.resources.cache.world import World


def test_what_was_read_is_found_by_every_process(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        assert not await is_hit(world, one)
        assert await is_hit(world, one)
        assert await is_hit(world, other)

    play(scene)


@pytest.mark.parametrize("kind", ["change", "delete", "touch", "orm"])
@pytest.mark.parametrize("is_cached", [True, False])
def test_reader_of_the_old_row_does_not_put_it_back(play: Play, kind: str, is_cached: bool) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        reader = await look(world, other)
        if is_cached:
            await do(world, one, "read")
        await do(world, one, kind)
        await world.let_through(reader)
        await do(world, one, "read")
        await do(world, other, "read")

    play(scene)


def test_reader_of_the_old_row_fills_nothing_in_while_a_change_is_under_way(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        reader = await look(world, other)
        change = await commit(world, one)
        await world.let_through(reader)
        assert not await is_hit(world, other)
        await world.finish(change)
        assert await is_hit(world, other), "the change itself has put the new one in"

    play(scene)


def test_change_that_is_late_does_not_put_its_version_over_a_newer_one(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        late, newer = await commit(world, one), await commit(world, other)
        await world.finish(newer)
        await world.let_through(late)
        await do(world, one, "read")

    play(scene)


def test_change_that_is_overtaken_by_one_with_an_older_mark_does_not_win(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        first = await world.start("change", one, "a")
        second = await world.start("change", other, "a")  # its mark is on top
        await world.let_through(second)
        await world.let_through(first)  # commits later
        await world.finish(first)
        await world.finish(second)
        await do(world, one, "read")

    play(scene)


@pytest.mark.parametrize("kinds", [("touch", "touch"), ("change", "touch"), ("touch", "change")])
@pytest.mark.parametrize("is_first_to_end", [True, False])
@pytest.mark.parametrize("is_first_to_commit", [True, False])
def test_of_changes_with_one_version_the_last_commit_counts(
    play: Play, kinds: tuple[str, str], is_first_to_end: bool, is_first_to_commit: bool
) -> None:
    async def scene(world: World) -> None:
        changes = [await world.start(kind, process, "a") for kind, process in zip(kinds, world.processes, strict=True)]
        for change in changes if is_first_to_commit else changes[::-1]:
            await world.let_through(change)
        for change in changes if is_first_to_end else changes[::-1]:
            await world.finish(change)
        for process in world.processes:
            await do(world, process, "read")

    play(scene)


def test_change_whose_process_stood_still_for_long_puts_nothing_back(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        sleeper = await commit(world, one)
        await world.advance(25)  # its mark is gone
        await do(world, other, "change")
        await world.advance(70)  # and so is the newer entry
        await world.let_through(sleeper)
        await do(world, other, "read")

    play(scene)


def test_mark_that_is_lost_before_its_change_ends_leaves_no_room_for_old_rows(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        reader = await look(world, other)
        change = await commit(world, one)
        with world.server.client() as redis:
            redis.delete("thing:a")
        await world.finish(change)
        await world.advance(0.9)
        await world.let_through(reader)
        for process in world.processes:
            await do(world, process, "read")

    play(scene)


@pytest.mark.parametrize("kind", ["change", "delete", "touch"])
def test_reader_of_the_old_row_does_not_put_it_into_a_redis_that_was_emptied(play: Play, kind: str) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        reader = await look(world, other)
        await do(world, one, kind)
        world.empty_redis()
        joined = await world.start("read", other, "a")
        await world.let_through(reader)
        await world.finish(joined)
        for process in world.processes:
            await do(world, process, "read")

    play(scene)


def test_what_somebody_has_seen_of_a_change_is_not_taken_back_by_emptying_redis(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        change = await world.start("change", one, "a")  # marked, and the mark is lost
        world.empty_redis()
        late, early = await look(world, other), await world.start("read", one, "a")
        await world.let_through(change)
        await world.finish(early)  # has seen what is committed, but not acknowledged
        await world.let_through(late)
        assert not await is_hit(world, other), "it would bring back what was before"
        await world.finish(change)

    play(scene)


def test_reader_that_is_too_slow_fills_nothing_in(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        reader = await look(world, other)
        await do(world, one, "change")
        await world.advance(65)
        await world.let_through(reader)

    play(scene)


def test_change_that_fails_gives_way_to_readers_before_long(play: Play) -> None:
    async def scene(world: World) -> None:
        one, _ = world.processes
        await do(world, one, "read")
        await do(world, one, "fail")
        assert not await is_hit(world, one)
        await world.advance(3)
        assert not await is_hit(world, one)
        assert await is_hit(world, one)

    play(scene)


def test_change_that_fails_does_not_lift_the_mark_of_another(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        failing = await world.start("fail", one, "a")
        reader = await look(world, other)
        change = await commit(world, other)
        await world.finish(failing)
        await world.advance(0.5)
        await world.let_through(reader)
        assert not await is_hit(world, one)
        await world.finish(change)

    play(scene)


def test_failed_change_on_top_outlasts_readers_of_what_another_changed(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        reader = await look(world, other)
        change = await world.start("change", one, "a")
        failing = await world.start("fail", other, "a")
        await world.finish(failing)
        await world.advance(0.9)
        await world.let_through(change)
        await world.finish(change)
        await world.let_through(reader)

    play(scene)


def test_process_that_is_killed_between_commit_and_cache_leaves_nothing_old(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        await do(world, other, "read")
        change = await commit(world, one)
        world.kill(one)
        world.acknowledged["a"] = change.moment  # stricter than the promise: nobody was told
        await world.settle()
        assert not await is_hit(world, other)
        await world.advance(21)
        assert not await is_hit(world, other)
        assert await is_hit(world, other)

    play(scene)


@pytest.mark.parametrize("loss", ["cut off", "command", "reply"])
@pytest.mark.parametrize("when", ["before", "between"])
def test_change_without_redis_is_seen_by_processes_that_have_it(play: Play, loss: str, when: str) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        await do(world, one, "read")
        await do(world, other, "read")

        def lose() -> None:
            if loss == "cut off":
                world.cut_off(one)
            else:
                one.redis.loses = loss

        if when == "before":
            lose()
        change = await commit(world, one)
        if when == "between":
            lose()
        await world.let_through(change)
        # Until the lease has ended, the old entry may be used; and where only the reply was lost, the new one is there.
        assert await is_hit(world, other) == ((when, loss == "reply") in (("before", False), ("between", True)))
        await world.advance(0.03)
        assert change.task.done()
        assert not await is_hit(world, other)

    play(scene)


def test_lease_is_kept_from_both_sides(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        await do(world, other, "read")
        change = await commit(world, one, "orm")
        await do(world, other, "read")
        await world.let_through(change)
        await world.advance(0.015)
        assert await is_hit(world, other), "what it knows of the epoch is not too old"
        assert not change.task.done()
        await world.advance(0.015)
        assert change.task.done()
        assert not await is_hit(world, other)

    play(scene)


@pytest.mark.parametrize("is_empty", [True, False])
def test_entries_that_a_restarted_redis_comes_back_with_are_void(play: Play, is_empty: bool) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        await do(world, one, "read")
        if not is_empty:
            world.save_snapshot()
        await do(world, one, "change")
        await do(world, other, "read")
        world.restart_redis()
        await world.settle()
        for process in world.processes:
            await do(world, process, "read")
        assert await is_hit(world, other)

    play(scene)


def test_processes_on_different_servers_do_not_trust_each_other(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        await do(world, one, "read")
        await do(world, other, "read")
        world.run_id = "another"
        one.redis.generation += 1
        await do(world, one, "read")
        await world.advance(0.03)
        assert not await is_hit(world, other)
        assert not await is_hit(world, other)

    play(scene)


def test_database_that_cannot_tell_the_epoch_leaves_the_change_unacknowledged(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        await do(world, other, "read")
        change = await commit(world, one)
        world.cut_off(one)
        one.is_database_down = True
        before: Any = world.acknowledged["a"]
        await world.finish(change)
        assert world.acknowledged["a"] == before

    play(scene)
