"""Redis Cluster: a connection to each master; each command goes to the node of its key, all at the same time.

While one node is down, calls for keys of other nodes still work, but the cluster counts as down. The slots are queried
at the start, when a connection is lost, when a node redirects a command, and periodically.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from random import SystemRandom
from typing import Any, Protocol

from redis.crc import REDIS_CLUSTER_HASH_SLOTS as SLOTS
from redis.exceptions import ResponseError

from core.process.background import BackgroundTask
from core.redis.connection import ServerConnection
from core.redis.discovery import query_all
from core.redis.error_replies import ErrorReplies
from core.redis.pipeline import Command, Pipeline, Replies
from core.redis.slots import key_in, read_node, read_owners, slot_of
from core.redis.url import Address, Node

NODES_QUERIED = 3
# Between two queries: at least; while nothing changes; while a node is down or slots migrate.
MIN_PAUSE_SECONDS, STABLE_PAUSE_SECONDS, RETRY_SECONDS = 0.1, 10.0, 0.5


class Owner(Protocol):
    """Is notified when all nodes are up or have changed, when a node is down, and when commands may have been lost."""

    def mark_up(self, run_id: str) -> None: ...
    def mark_down(self, reason: str) -> None: ...
    def note_lost_commands(self) -> None: ...


class Cluster:
    """Takes the place of one server's pipeline: `submit` means the same."""

    ready = True

    def __init__(self, owner: Owner, address: Address, error_replies: ErrorReplies, *, timeout_seconds: float) -> None:
        self.loop = asyncio.get_running_loop()
        self._owner, self._address, self._error_replies = owner, address, error_replies
        self._timeout = timeout_seconds
        self._servers: dict[Node, ServerConnection] = {}
        self._slots: Mapping[Node, list[range]] = {}
        self._server_of_slot: list[ServerConnection | None] = [None] * SLOTS
        # The run_id that the owner knows; None while the owner regards the cluster as down.
        self._reported: str | None = None
        self._problem = "its nodes are not known yet"
        self._is_stale = asyncio.Event()
        self._task = BackgroundTask("redis-cluster")
        error_replies.redirect = self._redirect

    def submit(self, commands: Sequence[Command]) -> asyncio.Future[Replies]:
        """Queue the commands for their nodes' next writes. The future becomes their replies, or None if one fails.

        A command without a key goes to every node; one node's reply is returned.
        """
        parts: dict[Pipeline, list[int]] = {}
        for position, command in enumerate(commands):
            slot = slot_of(command)
            for server in self._servers.values() if slot is None else (self._server_of_slot[slot],):
                pipeline = server.pipeline if server else None
                if pipeline is None or not pipeline.ready:
                    return self._failed()
                parts.setdefault(pipeline, []).append(position)
        if not parts:
            return self._failed()
        if len(parts) == 1:
            (pipeline,) = parts
            return pipeline.submit(commands)
        answers = [pipeline.submit([commands[index] for index in indexes]) for pipeline, indexes in parts.items()]
        return asyncio.ensure_future(_join(list(parts.values()), answers, len(commands)))

    def _failed(self) -> asyncio.Future[Replies]:
        future: asyncio.Future[Replies] = self.loop.create_future()
        future.set_result(None)
        return future

    async def open(self) -> None:
        """Return after the first attempt at every node, even if all failed."""
        tried = asyncio.Event()
        self._task.start(self._follow_changes(tried))
        await tried.wait()

    async def close(self) -> None:
        await self._task.stop()
        await asyncio.gather(*(server.close() for server in self._servers.values()))

    async def _follow_changes(self, tried: asyncio.Event) -> None:
        while True:
            self._is_stale.clear()
            before = self._slots
            try:
                await self._apply(await self._query_slots())
            # redis-py also raises errors other than its RedisError, and the task must live on.
            except Exception as error:
                self._problem = str(error) or type(error).__name__
            self._report()
            tried.set()
            await asyncio.sleep(MIN_PAUSE_SECONDS)
            is_stable = self._reported is not None and self._slots == before
            with suppress(TimeoutError):
                async with asyncio.timeout(STABLE_PAUSE_SECONDS if is_stable else RETRY_SECONDS):
                    await self._is_stale.wait()

    async def _query_slots(self) -> Mapping[Node, list[range]]:
        known = sorted({*self._address.nodes, *self._servers})
        nodes = SystemRandom().sample(known, min(len(known), NODES_QUERIED))
        replies = await query_all(
            ((node, self._address.connection(node)) for node in nodes), [("CLUSTER", "INFO"), ("CLUSTER", "SLOTS")]
        )
        node, (info, slots) = max(replies, key=_rank)
        for reply in (info, slots):
            if isinstance(reply, ResponseError):
                raise reply
        if not slots:
            raise ConnectionError("no node has any slots")
        return read_owners(slots, node)

    async def _apply(self, slots: Mapping[Node, list[range]]) -> None:
        self._slots = {**self._slots, **slots}
        added = {
            node: ServerConnection(self, self._address, self._error_replies, timeout_seconds=self._timeout, node=node)
            for node in slots
            if node not in self._servers
        }
        try:
            await asyncio.gather(*(server.open() for server in added.values()))
        except asyncio.CancelledError:
            await asyncio.gather(*(server.close() for server in added.values()))
            raise
        removed = [server for node, server in self._servers.items() if node not in slots]
        self._servers = {node: self._servers.get(node) or added[node] for node in slots}
        self._slots = slots
        self._server_of_slot = [None] * SLOTS
        for node, ranges in slots.items():
            for slot_range in ranges:
                self._server_of_slot[slot_range.start : slot_range.stop] = [self._servers[node]] * len(slot_range)
        await asyncio.gather(*(server.close() for server in removed))

    def _report(self) -> None:
        ids = sorted(server.run_id for server in self._servers.values() if server.pipeline)
        if not ids or len(ids) < len(self._servers) or None in self._server_of_slot:
            self._reported = None
            self._owner.mark_down(self._problem)
            return
        run_id = hashlib.sha1(" ".join(ids).encode(), usedforsecurity=False).hexdigest() if all(ids) else ""
        if run_id != self._reported:
            self._reported, self._problem = run_id, "some slots have no node"
            self._owner.mark_up(run_id)

    def _redirect(self, error: str) -> Pipeline | None:
        """Return the pipeline to the node that a MOVED or ASK names. After a MOVED, use that node for the slot."""
        code, slot, address = error.split()[:3]
        server = self._servers.get(read_node(address))
        if code == "MOVED":
            self._is_stale.set()
            if server:
                self._server_of_slot[int(slot)] = server
        return server.pipeline if server else None

    async def locate(self, server: ServerConnection) -> Node | None:
        return server.node

    def probe_key(self, server: ServerConnection) -> bytes:
        assert server.node is not None
        return key_in(next(iter(self._slots[server.node])), b"ar:probe:")

    def server_up(self, server: ServerConnection) -> None:
        if server in self._servers.values():
            self._report()

    def server_down(self, server: ServerConnection, reason: str) -> None:
        self._problem = reason
        self._is_stale.set()  # another node may have taken over
        if server in self._servers.values() and server.node is not None:
            host, port = server.node
            self._problem = f"{host}:{port}: {reason}"
            self._report()

    def note_lost_commands(self) -> None:
        self._owner.note_lost_commands()


async def _join(parts: list[list[int]], answers: list[asyncio.Future[Replies]], count: int) -> Replies:
    replies: list[Any] = [None] * count
    for positions, answer in zip(parts, await asyncio.gather(*answers), strict=True):
        if answer is None:
            return None
        for position, reply in zip(positions, answer, strict=True):
            replies[position] = reply
    return replies


def _rank(node_replies: tuple[Node, list[Any]]) -> tuple[bool, int]:
    """Rank a node by its CLUSTER INFO: a partitioned node knows an older epoch."""
    _, (info, _) = node_replies
    if not isinstance(info, bytes):
        return False, -1
    facts = dict(line.split(b":", 1) for line in info.split() if b":" in line)
    return facts.get(b"cluster_state") == b"ok", int(facts.get(b"cluster_current_epoch", 0))
