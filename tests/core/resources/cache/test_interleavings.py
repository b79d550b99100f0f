"""Interleavings that might restore an old representation, step by step. `World` checks after each step that none does.

A read stops before and after its database access, a change before and after its commit.
"""

from typing import Any

import pytest

from tests.core.resources.cache.conftest import Play
from tests.core.resources.cache.steps import is_hit, run, start_change, start_reader
from tests.core.resources.cache.world import World


def test_cached_item_is_a_hit_for_every_process(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        assert not await is_hit(world, one)
        assert await is_hit(world, one)
        assert await is_hit(world, other)

    play(scene)


@pytest.mark.parametrize("kind", ["change", "delete", "touch", "orm"])
@pytest.mark.parametrize("is_cached", [True, False])
def test_reader_of_the_old_row_does_not_cache_it_after_a_change(play: Play, kind: str, is_cached: bool) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        reader = await start_reader(world, other)
        if is_cached:
            await run(world, one, "read")
        await run(world, one, kind)
        await world.open_gate(reader)
        await run(world, one, "read")
        await run(world, other, "read")

    play(scene)


def test_reader_of_the_old_row_does_not_cache_it_during_a_change(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        reader = await start_reader(world, other)
        change = await start_change(world, one)
        await world.open_gate(reader)
        assert not await is_hit(world, other)
        await world.finish(change)
        assert await is_hit(world, other), "the change has cached its own result"

    play(scene)


def test_late_change_does_not_overwrite_a_newer_version(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        late, newer = await start_change(world, one), await start_change(world, other)
        await world.finish(newer)
        await world.open_gate(late)
        await run(world, one, "read")

    play(scene)


def test_later_commit_wins_over_a_newer_mark(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        first = await world.start("change", one, "a")
        second = await world.start("change", other, "a")  # its mark replaces the first one
        await world.open_gate(second)
        await world.open_gate(first)  # commits later
        await world.finish(first)
        await world.finish(second)
        await run(world, one, "read")

    play(scene)


@pytest.mark.parametrize("kinds", [("touch", "touch"), ("change", "touch"), ("touch", "change")])
@pytest.mark.parametrize("first_ends_first", [True, False])
@pytest.mark.parametrize("first_commits_first", [True, False])
def test_last_commit_wins_among_changes_with_one_version(
    play: Play, kinds: tuple[str, str], first_ends_first: bool, first_commits_first: bool
) -> None:
    async def scene(world: World) -> None:
        changes = [await world.start(kind, process, "a") for kind, process in zip(kinds, world.processes, strict=True)]
        for change in changes if first_commits_first else changes[::-1]:
            await world.open_gate(change)
        for change in changes if first_ends_first else changes[::-1]:
            await world.finish(change)
        for process in world.processes:
            await run(world, process, "read")

    play(scene)


def test_change_of_a_stalled_process_restores_nothing(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        stalled = await start_change(world, one)
        await world.advance(25)  # the mark of the change has expired
        await run(world, other, "change")
        await world.advance(70)  # the newer entry has expired
        await world.open_gate(stalled)
        await run(world, other, "read")

    play(scene)


def test_lost_mark_does_not_let_old_rows_into_the_cache(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        reader = await start_reader(world, other)
        change = await start_change(world, one)
        with world.server.client() as redis:
            redis.delete("thing:a")
        await world.finish(change)
        await world.advance(0.9)
        await world.open_gate(reader)
        for process in world.processes:
            await run(world, process, "read")

    play(scene)


@pytest.mark.parametrize("kind", ["change", "delete", "touch"])
def test_reader_of_the_old_row_does_not_cache_it_after_a_flush(play: Play, kind: str) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        reader = await start_reader(world, other)
        await run(world, one, kind)
        world.empty_redis()
        joined = await world.start("read", other, "a")
        await world.open_gate(reader)
        await world.finish(joined)
        for process in world.processes:
            await run(world, process, "read")

    play(scene)


def test_flush_does_not_hide_a_change_that_was_already_read(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        change = await world.start("change", one, "a")  # it sets its mark, which is then lost
        world.empty_redis()
        late, early = await start_reader(world, other), await world.start("read", one, "a")
        await world.open_gate(change)
        await world.finish(early)  # it has read a committed change that is not acknowledged yet
        await world.open_gate(late)
        assert not await is_hit(world, other), "the old representation is not cached"
        await world.finish(change)

    play(scene)


def test_slow_reader_caches_nothing(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        reader = await start_reader(world, other)
        await run(world, one, "change")
        await world.advance(65)
        await world.open_gate(reader)

    play(scene)


def test_failed_change_lets_readers_cache_again_soon(play: Play) -> None:
    async def scene(world: World) -> None:
        one, _ = world.processes
        await run(world, one, "read")
        await run(world, one, "fail")
        assert not await is_hit(world, one)
        await world.advance(3)
        assert not await is_hit(world, one)
        assert await is_hit(world, one)

    play(scene)


def test_failed_change_keeps_the_mark_of_another_change(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        failing = await world.start("fail", one, "a")
        reader = await start_reader(world, other)
        change = await start_change(world, other)
        await world.finish(failing)
        await world.advance(0.5)
        await world.open_gate(reader)
        assert not await is_hit(world, one)
        await world.finish(change)

    play(scene)


def test_mark_of_a_failed_change_outlasts_older_readers(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        reader = await start_reader(world, other)
        change = await world.start("change", one, "a")
        failing = await world.start("fail", other, "a")
        await world.finish(failing)
        await world.advance(0.9)
        await world.open_gate(change)
        await world.finish(change)
        await world.open_gate(reader)

    play(scene)


def test_process_killed_after_its_commit_leaves_no_stale_entry(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        await run(world, other, "read")
        change = await start_change(world, one)
        world.kill(one)
        world.acknowledged["a"] = change.moment  # stricter than the promise: no client has received this response
        await world.settle()
        assert not await is_hit(world, other)
        await world.advance(21)
        assert not await is_hit(world, other)
        assert await is_hit(world, other)

    play(scene)


@pytest.mark.parametrize("loss", ["cut off", "command", "reply"])
@pytest.mark.parametrize("when", ["before", "between"])
def test_change_without_redis_is_visible_to_connected_processes(play: Play, loss: str, when: str) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        await run(world, one, "read")
        await run(world, other, "read")

        def lose() -> None:
            if loss == "cut off":
                world.disconnect(one)
            else:
                one.redis.loses = loss

        if when == "before":
            lose()
        change = await start_change(world, one)
        if when == "between":
            lose()
        await world.open_gate(change)
        # The old entry may be used until the lease ends. If only the reply was lost, Redis has the new entry.
        assert await is_hit(world, other) == ((when, loss == "reply") in (("before", False), ("between", True)))
        await world.advance(0.03)
        assert change.task.done()
        assert not await is_hit(world, other)

    play(scene)


def test_change_waits_until_all_leases_have_ended(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        await run(world, other, "read")
        change = await start_change(world, one, "orm")
        await run(world, other, "read")
        await world.open_gate(change)
        await world.advance(0.015)
        assert await is_hit(world, other), "the process still holds its lease"
        assert not change.task.done()
        await world.advance(0.015)
        assert change.task.done()
        assert not await is_hit(world, other)

    play(scene)


@pytest.mark.parametrize("is_empty", [True, False])
def test_entries_from_before_a_redis_restart_are_not_used(play: Play, is_empty: bool) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        await run(world, one, "read")
        if not is_empty:
            world.save_snapshot()
        await run(world, one, "change")
        await run(world, other, "read")
        world.restart_redis()
        await world.settle()
        for process in world.processes:
            await run(world, process, "read")
        assert await is_hit(world, other)

    play(scene)


def test_processes_on_different_redis_servers_do_not_share_entries(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        await run(world, one, "read")
        await run(world, other, "read")
        world.run_id = "another"
        one.redis.generation += 1
        await run(world, one, "read")
        await world.advance(0.03)
        assert not await is_hit(world, other)
        assert not await is_hit(world, other)

    play(scene)


def test_change_is_not_acknowledged_if_the_epoch_cannot_be_turned(play: Play) -> None:
    async def scene(world: World) -> None:
        one, other = world.processes
        await run(world, other, "read")
        change = await start_change(world, one)
        world.disconnect(one)
        one.is_database_down = True
        before: Any = world.acknowledged["a"]
        await world.finish(change)
        assert world.acknowledged["a"] == before

    play(scene)
