"""Redis Cluster: a link to each master, and each command to the node of its key, all at the same time.

Each node has a breaker of its own: while one is away, calls for the others' keys go on. The cluster is up, and
what was cached in it is good, only while all of them are.

Which node has which slot is asked at first, whenever a link is lost or a node refers to another, and from time to
time. A command that went to the wrong node meanwhile goes to the right one at once (see `refusals`).
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from random import SystemRandom
from typing import Any, Protocol

from redis.exceptions import ResponseError

from core.redis.link import Link
from core.redis.pipeline import Command, Pipeline, Replies
from core.redis.questions import ask_all
from core.redis.refusals import Refusals
from core.redis.slots import SLOTS, key_in, read_node, read_owners, slot_of
from core.redis.url import Address, Node

ASKED_AT_ONCE = 3
# At most this often; while nothing changes; and while something is wrong, or on its way.
SHORTEST_PAUSE_SECONDS, CALM_SECONDS, RETRY_SECONDS = 0.1, 10.0, 0.5


class Owner(Protocol):
    """Whom the cluster tells what becomes of it."""

    def turn_up(self, run_id: str) -> None:
        """All nodes can be used, or they are others than before."""

    def turn_down(self, reason: str) -> None:
        """Not all nodes can be used."""

    def note_trouble(self, kind: str) -> None:
        """Commands may have been lost."""


class Cluster:
    """In place of one server's pipeline: `submit` has the same meaning."""

    ready = True

    def __init__(self, owner: Owner, address: Address, refusals: Refusals, *, timeout_seconds: float) -> None:
        self.loop = asyncio.get_running_loop()
        self._owner, self._address, self._refusals = owner, address, refusals
        self._timeout = timeout_seconds
        self._links: dict[Node, Link] = {}
        self._slots: Mapping[Node, list[range]] = {}
        self._link_of_slot: list[Link | None] = [None] * SLOTS
        self._told: str | None = None
        self._wrong = "its nodes are not known yet"
        self._is_stale = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        refusals.redirect = self._redirect

    def submit(self, commands: Sequence[Command]) -> asyncio.Future[Replies]:
        """Puts the commands into their nodes' next writes. The future becomes their replies, or None if one fails.

        A command without a key goes to every node, and one of them gives the reply.
        """
        parts: dict[Pipeline, list[int]] = {}
        for place, command in enumerate(commands):
            slot = slot_of(command)
            for link in self._links.values() if slot is None else (self._link_of_slot[slot],):
                pipeline = link.pipeline if link else None
                if pipeline is None or not pipeline.ready:
                    return self._nothing()
                parts.setdefault(pipeline, []).append(place)
        if len(parts) == 1:
            (pipeline,) = parts
            return pipeline.submit(commands)
        return self._submit_parts(commands, parts) if parts else self._nothing()

    def _nothing(self) -> asyncio.Future[Replies]:
        future: asyncio.Future[Replies] = self.loop.create_future()
        future.set_result(None)
        return future

    def _submit_parts(
        self, commands: Sequence[Command], parts: Mapping[Pipeline, list[int]]
    ) -> asyncio.Future[Replies]:
        whole: asyncio.Future[Replies] = self.loop.create_future()
        replies: list[Any] = [None] * len(commands)
        waiting, is_refused = len(parts), False

        def collect(places: list[int], part: asyncio.Future[Replies]) -> None:
            nonlocal waiting, is_refused
            waiting -= 1
            found = part.result()
            if found is None:
                is_refused = True
            else:
                for place, reply in zip(places, found, strict=True):
                    replies[place] = reply
            if not waiting and not whole.done():
                whole.set_result(None if is_refused else replies)

        for pipeline, places in parts.items():
            part = pipeline.submit([commands[place] for place in places])
            part.add_done_callback(partial(collect, places))
        return whole

    async def open(self) -> None:
        """Returns after the first attempt at every node, whether they succeeded or not."""
        tried = asyncio.Event()
        self._task = asyncio.create_task(self._stay_informed(tried), name="redis-cluster")
        await tried.wait()

    async def close(self) -> None:
        """Ends all connections and tasks. Calls that wait get None."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await asyncio.gather(*(link.close() for link in self._links.values()))

    async def _stay_informed(self, tried: asyncio.Event) -> None:
        while True:
            self._is_stale.clear()
            before = self._slots
            try:
                await self._follow(await self._ask_slots())
            # As in a link: redis-py lets more through than its RedisError, and the task must live on.
            except Exception as error:
                self._wrong = str(error) or type(error).__name__
            self._tell()
            tried.set()
            await asyncio.sleep(SHORTEST_PAUSE_SECONDS)
            is_calm = self._told is not None and self._slots == before
            with suppress(TimeoutError):
                async with asyncio.timeout(CALM_SECONDS if is_calm else RETRY_SECONDS):
                    await self._is_stale.wait()

    async def _ask_slots(self) -> Mapping[Node, list[range]]:
        """Who has which slots, by some of the nodes: of those the one that has heard of the latest change."""
        known = sorted({*self._address.nodes, *self._links})
        some = SystemRandom().sample(known, min(len(known), ASKED_AT_ONCE))
        answers = await ask_all(
            ((node, self._address.connection(node)) for node in some), [("CLUSTER", "INFO"), ("CLUSTER", "SLOTS")]
        )
        node, (about, slots) = max(answers, key=lambda answer: _rank(answer[1][0]))
        for reply in (about, slots):
            if isinstance(reply, ResponseError):
                raise reply
        if not slots:
            raise ConnectionError("no node has any slots")
        return read_owners(slots, node)

    async def _follow(self, slots: Mapping[Node, list[range]]) -> None:
        """Opens links to new masters, then uses them, then closes those to nodes that are none any more."""
        self._slots = {**self._slots, **slots}
        added = {node: self._make_link(node) for node in slots if node not in self._links}
        try:
            await asyncio.gather(*(link.open() for link in added.values()))
        except asyncio.CancelledError:
            await asyncio.gather(*(link.close() for link in added.values()))
            raise
        left = [link for node, link in self._links.items() if node not in slots]
        self._links = {node: self._links.get(node) or added[node] for node in slots}
        self._slots = slots
        self._link_of_slot = [None] * SLOTS
        for node, ranges in slots.items():
            for one in ranges:
                self._link_of_slot[one.start : one.stop] = [self._links[node]] * len(one)
        await asyncio.gather(*(link.close() for link in left))

    def _make_link(self, node: Node) -> Link:
        async def locate() -> Node:
            return node

        return Link(
            self,
            self._address,
            self._refusals,
            timeout_seconds=self._timeout,
            locate=locate,
            probe_key=lambda: key_in(self._slots[node][0], b"ar:probe:"),
        )

    def _tell(self) -> None:
        """Tells the owner of what has changed: up, with what run_id, or down."""
        ids = sorted(link.run_id for link in self._links.values() if link.pipeline)
        if not ids or len(ids) < len(self._links) or None in self._link_of_slot:
            self._told = None
            self._owner.turn_down(self._wrong)
            return
        run_id = hashlib.sha1(" ".join(ids).encode(), usedforsecurity=False).hexdigest() if all(ids) else ""
        if run_id != self._told:
            self._told, self._wrong = run_id, "some slots have no node"
            self._owner.turn_up(run_id)

    def _redirect(self, error: str) -> Pipeline | None:
        """The pipeline to the node that a MOVED or ASK names. After a MOVED the slot's calls go there."""
        word, slot, where = error.split()[:3]
        link = self._links.get(read_node(where))
        if word == "MOVED":
            self._is_stale.set()
            if link:
                self._link_of_slot[int(slot)] = link
        return link.pipeline if link else None

    def link_up(self, link: Link) -> None:
        """A node can be used."""
        if link in self._links.values():
            self._tell()

    def link_down(self, link: Link, reason: str) -> None:
        """A node cannot be used: perhaps others have its slots by now."""
        self._wrong = reason
        self._is_stale.set()
        for (host, port), one in self._links.items():
            if one is link:
                self._wrong = f"{host}:{port}: {reason}"
                self._tell()

    def note_trouble(self, kind: str) -> None:
        """Notes that commands may have been lost."""
        self._owner.note_trouble(kind)


def _rank(about: Any) -> tuple[bool, int]:
    """How much a node's word counts, by its CLUSTER INFO: one that was cut off from the rest knows an older epoch."""
    if not isinstance(about, bytes):
        return False, -1
    facts = dict(line.split(b":", 1) for line in about.split() if b":" in line)
    return facts.get(b"cluster_state") == b"ok", int(facts.get(b"cluster_current_epoch", 0))
