"""A model of several processes, one real Redis and a database that is a dict. Tests run it step by step.

The world has its own clock: nothing expires and no lease ends until a test calls `advance`.
"""

import asyncio
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from core.redis.client import RedisClient
from core.resources.cache.epoch import LEASE_SECONDS, MARGIN_SECONDS, Epoch
from core.resources.cache.representations import Representation, RepresentationCache
from tests.redis_server import RedisServer

OWNER = "somebody"


class Refused(Exception):
    """Raised by a change that fails and by a database that is down."""


class Gate:
    """A point where an operation waits until the test opens it."""

    def __init__(self, name: str) -> None:
        self.name, self.opened = name, asyncio.Event()


@dataclass(frozen=True)
class Row:
    """A row. `moment` is the number of its commit, counted over the whole world."""

    version: int
    moment: int


@dataclass
class Operation:
    """A read or a change in progress. It waits at a gate, for another reader or for a lease, or it has ended."""

    kind: str
    item: str
    process: "Process"
    floor: int = 0
    """The last commit that was acknowledged when the read began."""
    moment: int = 0
    """The commit of the change."""
    gate: Gate | None = None
    task: "asyncio.Task[None]" = field(init=False)

    async def stop_at(self, name: str) -> None:
        """Wait until the test opens the gate."""
        self.gate = Gate(name)
        await self.gate.opened.wait()
        self.gate = None


class FaultyRedis:
    """A real client that can lose replies and be disconnected."""

    def __init__(self, world: "World", client: RedisClient) -> None:
        self.world, self.client = world, client
        self.generation = 1
        self.is_disconnected = False
        self.loses: str | None = None
        """The part that the next call loses: the "command" or its "reply"."""

    @property
    def state(self) -> str:
        return "down" if self.is_disconnected else "up"

    @property
    def run_id(self) -> str:
        return self.world.run_id

    async def ping(self) -> bool:
        return await self.call([("PING",)]) is not None

    def register_script(self, source: str) -> bytes:
        return self.client.register_script(source)

    async def call(self, commands: list[tuple[Any, ...]]) -> Any:
        if self.is_disconnected:
            return None
        loses, self.loses = self.loses, None
        if loses:
            self.generation += 1
        if loses == "command":
            return None
        replies = await self.client.call(commands)
        assert replies is not None, "the real Redis does not respond"
        return None if loses else replies


class WorldEpoch(Epoch):
    """The epoch of one process. Its row is in the world."""

    def __init__(self, process: "Process", redis: Any) -> None:
        super().__init__(redis)
        self.process, self.world = process, process.world

    async def _find(self) -> tuple[str, str]:
        self.process.check()
        return self.world.epoch

    async def _settle(self, run_id: str) -> tuple[str, str]:
        self.process.check()
        if self.world.epoch[1] != run_id:
            self.world.epoch = (f"e{next(self.world.tokens)}", run_id)
        return self.world.epoch

    async def _begin(self) -> None:
        self.process.check()
        self.world.turn()

    async def _wait(self, seconds: float) -> None:
        await self.world.wait_until(self.world.now + seconds)


class Process:
    """One process of the service."""

    def __init__(self, world: "World", client: RedisClient) -> None:
        self.world, self.is_dead, self.is_database_down = world, False, False
        self.redis = FaultyRedis(world, client)
        as_client: Any = self.redis
        self.epoch = WorldEpoch(self, as_client)
        self.cache = RepresentationCache("thing", redis=as_client, epoch=self.epoch)

    def check(self) -> None:
        """Raise Refused if this process cannot use the database."""
        if self.is_database_down:
            raise Refused

    def good_epoch(self) -> bytes | None:
        """Return the epoch whose entries the process would use for a request that arrives now."""
        known = self.epoch
        if self.redis.is_disconnected:
            return None
        if not known.is_connected:
            return self.world.epoch[0].encode() if self.world.epoch[1] == self.world.run_id else None
        if self.world.now - known._looked_at <= LEASE_SECONDS:
            return known.token if known._its_run_id == known._run_id else None
        return self.world.epoch[0].encode() if self.world.epoch[1] == known._run_id else None


class World:
    """Redis, the database and the clock."""

    def __init__(self, server: RedisServer, client: RedisClient) -> None:
        self.server, self.client = server, client
        self.now = 1000.0
        self.run_id, self.epoch = "r0", ("", "")
        self.tokens, self.moments, self.runs = count(1), count(1), count(1)
        self.rows: dict[str, Row | None] = {}
        self.acknowledged: dict[str, int] = {}
        self.operations: list[Operation] = []
        self.processes: list[Process] = []
        self._deleted: dict[str, int] = {}
        self._waiting: list[tuple[float, asyncio.Event]] = []
        self._snapshot: dict[bytes, tuple[bytes, float]] = {}

    def clock(self) -> float:
        """Replace time.monotonic: every call returns a later time."""
        self.now += 1e-9
        return self.now

    def turn(self) -> None:
        """Begin a new epoch."""
        self.epoch = (f"e{next(self.tokens)}", self.epoch[1])

    async def wait_until(self, moment: float) -> None:
        """Return when the world's clock reaches the moment."""
        event = asyncio.Event()
        self._waiting.append((moment, event))
        await event.wait()

    async def advance(self, seconds: float) -> None:
        """Advance the clock, also for Redis."""
        self.now += seconds
        with self.server.client() as redis:
            for key in redis.keys("thing:*"):
                redis.pexpire(key, max(redis.pttl(key) - round(seconds * 1000), 0))
        for moment, event in self._waiting:
            if moment <= self.now:
                event.set()
        await self.settle()

    async def settle(self) -> None:
        """Run until every operation waits at a gate, for a lease or for another reader, or has ended.

        No operation calls Redis more often in a row than this loop has rounds. A ping's reply follows earlier replies.
        """
        for _ in range(8):
            for _ in range(8):
                await asyncio.sleep(0)
            assert await self.client.ping()
        for operation in self.operations:
            if operation.task.done():
                operation.task.result()
        self.operations = [one for one in self.operations if not one.task.done()]
        await self.check()

    async def check(self) -> None:
        """Assert that no process would use an entry that is older than an acknowledged change."""
        for item, acknowledged in self.acknowledged.items():
            replies = await self.client.call([("GET", b"thing:" + item.encode())])
            epoch, _, mark, payload = (replies[0] if replies and replies[0] else b"::gone:").split(b":", 3)
            for process in self.processes:
                if not mark and epoch == process.good_epoch():
                    seen = int(payload.partition(b":")[2])
                    assert seen >= acknowledged, f"{item} as of {seen} is cached, but {acknowledged} is acknowledged"

    async def look_at_epochs(self) -> None:
        """Make every process look at the epoch. A process that has just connected to Redis waits for a lease."""
        looks = [asyncio.ensure_future(process.epoch.is_trusted(self.clock())) for process in self.processes]
        await self.settle()
        await self.advance(1)
        await asyncio.gather(*looks)

    async def start(self, kind: str, process: Process, item: str) -> Operation:
        """Begin an operation: "read", "change", "touch", "delete", "fail" or "orm"."""
        [operation] = await self.start_together(kind, process, item, count=1)
        return operation

    async def start_together(self, kind: str, process: Process, item: str, *, count: int) -> list[Operation]:
        """Begin several operations at the same moment."""
        operations = [Operation(kind, item, process, self.acknowledged.get(item, 0)) for _ in range(count)]
        run = {"read": self._read, "orm": self._change_by_orm}.get(kind, self._change)
        for operation in operations:
            operation.task = asyncio.ensure_future(run(operation))
        self.operations += operations
        await self.settle()
        return operations

    async def open_gate(self, operation: Operation) -> None:
        """Open the gate where the operation waits."""
        assert operation.gate
        operation.gate.opened.set()
        await self.settle()

    async def finish(self, operation: Operation) -> None:
        """Run the operation to its end. It may wait for a lease before and after its work."""
        for _ in range(3):
            while operation.gate:
                await self.open_gate(operation)
            if not operation.task.done():
                await self.advance(1)
        assert operation.task.done()

    def create(self, item: str) -> None:
        """Create an item that is acknowledged immediately, because no process can have cached it."""
        self.rows[item] = Row(1, next(self.moments))
        self.acknowledged[item] = self.rows[item].moment  # type: ignore[union-attr]

    async def _read(self, operation: Operation) -> None:
        process, item = operation.process, operation.item

        async def load() -> Representation | None:
            await operation.stop_at("before the look")
            process.check()
            row = self.rows[item]
            await operation.stop_at("after the look")
            return None if row is None else Representation(row.version, OWNER, b"%d" % row.moment)

        key = process.cache.key(item)
        replies = await process.redis.call([("GET", key)])
        try:
            found = await process.cache.find(key, replies[0] if replies else None, load)
        except Refused:
            return
        seen = int(found.body) if found else self._deleted[item]
        assert seen >= operation.floor, f"{item} as of {seen}, though {operation.floor} was acknowledged"

    async def _change(self, operation: Operation) -> None:
        process = operation.process

        async def commit() -> Representation:
            await operation.stop_at("before the commit")
            process.check()
            row = self._commit(operation)
            await operation.stop_at("after the commit")
            return row

        try:
            await process.cache.change(process.cache.key(operation.item), commit)
        except Refused:
            return
        self._acknowledge(operation)

    async def _change_by_orm(self, operation: Operation) -> None:
        await operation.stop_at("before the commit")
        try:
            self._commit(operation)
        except Refused:
            return
        await operation.stop_at("after the commit")
        self.turn()
        await self.wait_until(self.now + LEASE_SECONDS + MARGIN_SECONDS)
        self._acknowledge(operation)

    def _commit(self, operation: Operation) -> Representation:
        row = self.rows[operation.item]
        if row is None or operation.kind == "fail":
            raise Refused
        operation.moment = next(self.moments)
        if operation.kind == "delete":
            self.rows[operation.item] = None
            self._deleted[operation.item] = operation.moment
            return Representation(row.version + 1, "", b"")
        changed = Row(row.version + (operation.kind != "touch"), operation.moment)
        self.rows[operation.item] = changed
        return Representation(changed.version, OWNER, b"%d" % changed.moment)

    def _acknowledge(self, operation: Operation) -> None:
        if not operation.process.is_dead:
            item = operation.item
            self.acknowledged[item] = max(self.acknowledged[item], operation.moment)

    def add_process(self) -> Process:
        self.processes.append(Process(self, self.client))
        return self.processes[-1]

    def kill(self, process: Process) -> None:
        """Stop all operations of a process, as kill -9 does. A new process replaces it."""
        process.is_dead = process.redis.is_disconnected = process.is_database_down = True
        for operation in [one for one in self.operations if one.process is process]:
            operation.task.cancel()
            self.operations.remove(operation)
        self.processes[self.processes.index(process)] = Process(self, self.client)

    def disconnect(self, process: Process) -> None:
        """Disconnect one process from Redis."""
        process.redis.is_disconnected = True
        process.redis.generation += 1

    def reconnect(self, process: Process) -> None:
        process.redis.is_disconnected = False
        process.redis.generation += 1

    def save_snapshot(self) -> None:
        """Remember the entries with which Redis will restart."""
        with self.server.client() as redis:
            keys: Any = redis.keys("thing:*")
            entries: Any = redis.mget(keys) if keys else ()
            ends = (self.now + redis.pttl(key) / 1000 for key in keys)
            self._snapshot = dict(zip(keys, zip(entries, ends, strict=True), strict=True))

    def empty_redis(self) -> None:
        """Run FLUSHALL, as an operator might, without informing any process."""
        with self.server.client() as redis:
            redis.flushall(asynchronous=False)

    def restart_redis(self) -> None:
        """Restart Redis with its snapshot. Every process reconnects."""
        self.run_id = f"r{next(self.runs)}"
        with self.server.client() as redis:
            redis.flushall()
            for key, (value, end) in self._snapshot.items():
                if end > self.now:
                    redis.set(key, value, px=round((end - self.now) * 1000))
        for process in self.processes:
            process.redis.generation += 1
