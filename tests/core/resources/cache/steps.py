"""What a scene is told in: readers and changes of one item of a `World`, one step at a time."""

from tests.core.resources.cache.world import Operation, Process, World


async def look(world: World, process: Process) -> Operation:
    """A reader that has fetched the row, and has not filled it in yet."""
    reader = await world.start("read", process, "a")
    await world.let_through(reader)
    assert reader.gate
    assert reader.gate.name == "after the look"
    return reader


async def commit(world: World, process: Process, kind: str = "change") -> Operation:
    """A change that is committed, and not acknowledged yet."""
    change = await world.start(kind, process, "a")
    await world.let_through(change)
    assert change.gate
    assert change.gate.name == "after the commit"
    return change


async def do(world: World, process: Process, kind: str) -> None:
    await world.finish(await world.start(kind, process, "a"))


async def is_hit(world: World, process: Process) -> bool:
    """Whether a read of now needs no look into the database."""
    reader = await world.start("read", process, "a")
    is_done = reader.task.done()
    await world.finish(reader)
    return is_done
