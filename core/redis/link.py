"""One server, kept connected: its circuit breaker is the presence of a pipeline that is ready.

It opens when the connection is lost, when Redis owes replies for too long or too often (see `pipeline`), and when
Redis refuses work because of its own state. Then one background task looks up the server's address, which may have
changed, and connects anew. The breaker closes when Redis has answered a write in time: a write, because a Redis that
is out of memory, or has become a replica, still answers PING.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic
from typing import Protocol

from hiredis import ReplyError

from core.redis import metrics
from core.redis.pipeline import Pipeline
from core.redis.refusals import Refusals
from core.redis.url import Address, Node

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 1.0
# A connection that lived this long was no flapping: the next attempt follows at once.
STABLE_SECONDS = 2.0
CONNECT_SECONDS = 0.5
BY_US = "closed"
_RUN_ID = re.compile(rb"^run_id:(\w+)", re.MULTILINE)


class Owner(Protocol):
    """Whom a link tells what becomes of it."""

    def link_up(self, link: "Link") -> None:
        """Its pipeline can be used."""

    def link_down(self, link: "Link", reason: str) -> None:
        """It has none, after an attempt or because it lost it."""

    def note_trouble(self, kind: str) -> None:
        """Commands may have been lost."""


class Link:
    """Connects when opened, and stays connected until `close`.

    `locate` gives the address before each attempt, None for the one in the URL, and again every `locate_seconds` if
    that is not None: a master that hands over goes on taking writes for a while. `probe_key` is the key of the probe.
    `run_id` is that of the server that the pipeline goes to, empty if it does not tell.
    """

    def __init__(
        self,
        owner: Owner,
        address: Address,
        refusals: Refusals,
        *,
        timeout_seconds: float,
        locate: Callable[[], Awaitable[Node | None]],
        locate_seconds: float | None = None,
        probe_key: Callable[[], bytes],
    ) -> None:
        self.pipeline: Pipeline | None = None
        self.run_id = ""
        self._owner, self._address, self._refusals = owner, address, refusals
        self._timeout = timeout_seconds
        self._locate, self._locate_seconds, self._probe_key = locate, locate_seconds, probe_key
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Returns after the first attempt, whether it succeeded or not."""
        tried = asyncio.Event()
        self._task = asyncio.create_task(self._stay_connected(tried), name="redis")
        await tried.wait()

    async def close(self) -> None:
        """Ends the connection and the background task. Calls that wait get None."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _stay_connected(self, tried: asyncio.Event) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            began = monotonic()
            was_used, reason = await self._use_connection(tried)
            self._owner.link_down(self, reason)
            tried.set()
            if was_used and monotonic() - began > STABLE_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            else:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _use_connection(self, tried: asyncio.Event) -> tuple[bool, str]:
        """Connects and lets callers use the connection. Tells whether they could, and why it ended."""
        pipeline = None
        try:
            node = await self._locate()
            pipeline = await self._connect(node)
            await self._probe(pipeline)
            self.pipeline = pipeline
            self._owner.link_up(self)
            tried.set()
            # `wait` leaves the future alone: the end of this task must not pass for the pipeline's.
            while not (await asyncio.wait([pipeline.ended], timeout=self._locate_seconds))[0]:
                await self._look_again(pipeline, node)
            return True, pipeline.ended.result()
        # redis-py lets more through than its RedisError, and the task must live on.
        except Exception as error:
            metrics.FAILURES.labels(kind="connect").inc()
            return False, str(error) or type(error).__name__
        finally:
            self.pipeline = None
            if pipeline:
                metrics.CONNECTIONS.dec()
                pipeline.end(BY_US, "the service closed it")
                await pipeline.disconnect()

    async def _look_again(self, pipeline: Pipeline, used: Node | None) -> None:
        with suppress(Exception):  # nobody to ask is no reason to leave
            node = await self._locate()
            if node and node != used:
                pipeline.end("moved", "the server is at {}:{} now".format(*node))

    async def _connect(self, node: Node | None) -> Pipeline:
        connection, seconds = self._address.connection(node), max(CONNECT_SECONDS, 10 * self._timeout)
        try:
            async with asyncio.timeout(seconds):
                await connection.connect()  # type: ignore[no-untyped-call]
        except TimeoutError:
            await connection.disconnect(nowait=True)
            raise TimeoutError(f"no connection within {seconds} s") from None
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        metrics.CONNECTIONS.inc()
        return Pipeline(
            connection,
            timeout_seconds=self._timeout,
            on_trouble=self._note_trouble,
            on_refusal=self._refusals.settle,
        )

    async def _probe(self, pipeline: Pipeline) -> None:
        """Writes a key that expires, and loads the scripts. Raises unless Redis does the former in time."""
        probe = ("SET", self._probe_key(), 1, "EX", 60)
        loads = self._refusals.load_commands()
        replies = await self._refusals.submit_raw(pipeline, [probe, ("INFO", "server"), *loads])
        if replies is None:
            raise TimeoutError(f"no reply within {self._timeout} s")
        if isinstance(replies[0], ReplyError):
            raise replies[0]
        # An ACL may keep INFO from us.
        found = _RUN_ID.search(replies[1]) if isinstance(replies[1], bytes) else None
        self.run_id = found[1].decode() if found else ""

    def _note_trouble(self, kind: str) -> None:
        if kind != BY_US:
            metrics.FAILURES.labels(kind=kind).inc()
            self._owner.note_trouble(kind)
