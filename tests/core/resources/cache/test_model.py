"""A state machine: in any order of operations and faults, no read returns less than was acknowledged before it."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from core.redis.client import RedisClient
from core.resources.cache import epoch, representations
from tests.core.resources.cache.world import World
from tests.redis_server import RedisServer

PROCESSES = st.integers(0, 1)
ITEMS = st.sampled_from(["a", "a", "a", "b"])
KINDS = st.sampled_from(["read"] * 4 + ["change"] * 3 + ["touch", "delete", "fail", "orm"])
# Shorter and longer than a lease, the time allowed for a fill, and the lives of marks and entries.
SECONDS = st.sampled_from([0.005] * 4 + [0.015, 0.015, 0.03, 0.03, 0.5, 1.1, 2.9, 25.0, 70.0])
NO_FAULT = [""] * 16
FAULTS = st.sampled_from(
    [*NO_FAULT, "command", "reply", "cut off", "cut off", "database", "kill", "snapshot", "restart", "empty"]
)


@pytest.fixture(scope="module")
def server() -> Any:
    with RedisServer() as server:
        yield server


class Machine(RuleBasedStateMachine):
    """Two processes and two items, driven by hypothesis."""

    server: RedisServer

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.client = RedisClient()
        self.world = World(self.server, self.client)
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(epoch, "monotonic", self.world.clock)
        self.patch.setattr(representations, "monotonic", self.world.clock)
        for _ in range(2):
            self.world.add_process()
        with self.server.client() as redis:
            redis.flushall()
        self.run(self.client.open(self.server.url, 5))
        self.world.create("a")
        self.world.create("b")

    def run(self, job: Any) -> Any:
        return self.loop.run_until_complete(job)

    def teardown(self) -> None:
        try:
            self.run(self.finish())
        finally:
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.run(self.client.close())
            self.loop.close()
            self.patch.undo()

    async def finish(self) -> None:
        """End all faults, finish all operations, and read every item from every process."""
        for process in self.world.processes:
            process.is_database_down, process.redis.loses = False, None
            if process.redis.is_disconnected:
                self.world.reconnect(process)
        for _ in range(3):
            while gated := [one for one in self.world.operations if one.gate]:
                await self.world.open_gate(gated[0])
            await self.world.advance(1)
        for process in self.world.processes:
            for item in ("a", "b"):
                await self.world.finish(await self.world.start("read", process, item))

    @rule(process=PROCESSES, item=ITEMS, kind=KINDS, steps=st.integers(0, 2))
    def begin(self, process: int, item: str, kind: str, steps: int) -> None:
        """Begin an operation, and possibly run its first steps."""
        operation = self.run(self.world.start(kind, self.world.processes[process], item))
        for _ in range(steps):
            if operation.gate:
                self.run(self.world.open_gate(operation))

    @precondition(lambda self: any(one.gate for one in self.world.operations))
    @rule(place=st.integers(0, 5))
    def continue_operation(self, place: int) -> None:
        gated = [one for one in self.world.operations if one.gate]
        self.run(self.world.open_gate(gated[place % len(gated)]))

    @rule(seconds=SECONDS)
    def wait(self, seconds: float) -> None:
        self.run(self.world.advance(seconds))

    @rule(process=PROCESSES, fault=FAULTS)
    def inject_fault(self, process: int, fault: str) -> None:
        world, chosen = self.world, self.world.processes[process]
        if fault in ("command", "reply"):
            chosen.redis.loses = fault
        elif fault == "cut off":
            (world.reconnect if chosen.redis.is_disconnected else world.disconnect)(chosen)
        elif fault == "database":
            chosen.is_database_down = not chosen.is_database_down
        elif fault == "kill":
            world.kill(chosen)
        elif fault == "snapshot":
            world.save_snapshot()
        elif fault == "restart":
            world.restart_redis()
        elif fault == "empty":
            world.empty_redis()


@pytest.mark.slow
def test_no_read_is_older_than_an_acknowledged_change(server: RedisServer) -> None:
    machine = type("BoundMachine", (Machine,), {"server": server})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
