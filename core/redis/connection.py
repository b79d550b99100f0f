"""The connection to one server, with a circuit breaker.

The breaker opens when the connection is lost, when Redis exceeds timeouts, and when Redis rejects commands because of
its own state. It closes when Redis has answered a write in time: a Redis that is out of memory still answers PING.
"""

import asyncio
import re
from contextlib import suppress
from time import monotonic
from typing import Protocol

from hiredis import ReplyError

from core.process.background import BackgroundTask
from core.redis import metrics
from core.redis.error_replies import ErrorReplies
from core.redis.pipeline import Pipeline
from core.redis.url import Address, Node

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 1.0
# After a connection that lived this long, the next attempt follows at once.
STABLE_SECONDS = 2.0
CONNECT_SECONDS = 0.5
CLOSED = "closed"
_RUN_ID = re.compile(rb"^run_id:(\w+)", re.MULTILINE)


class Owner(Protocol):
    """Decides where a connection goes, and is notified about its state."""

    async def locate(self, server: "ServerConnection") -> Node | None:
        """Return the server's address, or None for the address in the URL."""

    def probe_key(self, server: "ServerConnection") -> bytes: ...
    def server_up(self, server: "ServerConnection") -> None: ...
    def server_down(self, server: "ServerConnection", reason: str) -> None: ...
    def note_lost_commands(self) -> None: ...


class ServerConnection:
    """Connects in `open`, and reconnects until `close`.

    Before each attempt the owner locates the server; with `check_seconds` also that often while connected, because an
    old master accepts writes for a while after a failover. `run_id` is the server's, empty if it does not report one.
    """

    def __init__(
        self,
        owner: Owner,
        address: Address,
        error_replies: ErrorReplies,
        *,
        timeout_seconds: float,
        node: Node | None = None,
        check_seconds: float | None = None,
    ) -> None:
        self.node = node
        self.pipeline: Pipeline | None = None
        self.run_id = ""
        self._owner, self._address, self._error_replies = owner, address, error_replies
        self._timeout, self._check_seconds = timeout_seconds, check_seconds
        self._task = BackgroundTask("redis")

    async def open(self) -> None:
        """Return after the first attempt, even if it failed."""
        tried = asyncio.Event()
        self._task.start(self._stay_connected(tried))
        await tried.wait()

    async def close(self) -> None:
        await self._task.stop()

    async def _stay_connected(self, tried: asyncio.Event) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            began = monotonic()
            was_up, reason = await self._use_connection(tried)
            self._owner.server_down(self, reason)
            tried.set()
            if was_up and monotonic() - began > STABLE_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            else:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _use_connection(self, tried: asyncio.Event) -> tuple[bool, str]:
        """Connect and serve callers until the connection ends. Return whether it was up, and why it ended."""
        pipeline = None
        try:
            node = await self._owner.locate(self)
            pipeline = await self._connect(node)
            await self._probe(pipeline)
            self.pipeline = pipeline
            self._owner.server_up(self)
            tried.set()
            # `asyncio.wait` does not cancel `ended` when this task is cancelled.
            while not (await asyncio.wait([pipeline.ended], timeout=self._check_seconds))[0]:
                await self._check_address(pipeline, node)
            return True, pipeline.ended.result()
        # redis-py also raises errors other than its RedisError, and the task must live on.
        except Exception as error:
            metrics.FAILURES.labels(kind="connect").inc()
            return False, str(error) or type(error).__name__
        finally:
            self.pipeline = None
            if pipeline:
                metrics.CONNECTIONS.dec()
                pipeline.end(CLOSED, "the service closed it")
                await pipeline.disconnect()

    async def _check_address(self, pipeline: Pipeline, used: Node | None) -> None:
        with suppress(Exception):  # without an answer, keep the connection
            node = await self._owner.locate(self)
            if node and node != used:
                host, port = node
                pipeline.end("moved", f"the server is at {host}:{port} now")

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
            on_error_reply=self._error_replies.settle,
        )

    async def _probe(self, pipeline: Pipeline) -> None:
        """Write a key that expires, and load the scripts. Raises unless the write succeeds in time."""
        probe = ("SET", self._owner.probe_key(self), 1, "EX", 60)
        loads = self._error_replies.load_commands()
        replies = await self._error_replies.submit_raw(pipeline, [probe, ("INFO", "server"), *loads])
        if replies is None:
            raise TimeoutError(f"no reply within {self._timeout} s")
        written, info, *_ = replies
        if isinstance(written, ReplyError):
            raise written
        # An ACL may forbid INFO.
        found = _RUN_ID.search(info) if isinstance(info, bytes) else None
        self.run_id = found[1].decode() if found else ""

    def _note_trouble(self, kind: str) -> None:
        if kind != CLOSED:
            metrics.FAILURES.labels(kind=kind).inc()
            self._owner.note_lost_commands()
