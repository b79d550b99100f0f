"""The steps that scenes consist of: reads and changes of one item of a `World`."""

from tests.core.resources.cache.world import Operation, Process, World


async def start_reader(world: World, process: Process) -> Operation:
    """Start a reader that has read the row and has not filled the cache yet."""
    reader = await world.start("read", process, "a")
    await world.open_gate(reader)
    assert reader.gate
    assert reader.gate.name == "after the look"
    return reader


async def start_change(world: World, process: Process, kind: str = "change") -> Operation:
    """Start a change that is committed and not acknowledged yet."""
    change = await world.start(kind, process, "a")
    await world.open_gate(change)
    assert change.gate
    assert change.gate.name == "after the commit"
    return change


async def run(world: World, process: Process, kind: str) -> None:
    await world.finish(await world.start(kind, process, "a"))


async def is_hit(world: World, process: Process) -> bool:
    """Return whether a read made now needs no database access."""
    reader = await world.start("read", process, "a")
    is_done = reader.task.done()
    await world.finish(reader)
    return is_done
