"""The client: a pipeline while Redis can be used, None for every caller while it cannot.

The circuit breaker is the presence of a pipeline that is ready. It opens when the connection is lost, when
Redis owes replies for too long or too often (see `pipeline`), and when Redis refuses work because of its own
state. Then one background task connects anew, and the breaker closes when Redis has answered a write in time:
a write, because a Redis that is out of memory, or has become a replica, still answers PING.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import Literal

from hiredis import ReplyError

from core.redis import metrics
from core.redis.pipeline import Command, Pipeline, Replies
from core.redis.refusals import Refusals
from core.redis_url import make_connection

logger = logging.getLogger("agent_router.redis")

type State = Literal["up", "down", "disabled"]

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 1.0
# A connection that lived this long was no flapping: the next attempt follows at once.
STABLE_SECONDS = 2.0
CONNECT_SECONDS = 0.5
PROBE: Command = ("SET", "ar:probe", 1, "EX", 60)
BY_US = "closed"


class RedisClient:
    """One for each process and event loop. Before `open` and without a URL every call is None, at no cost.

    `generation` changes whenever a command may have been lost, and when Redis is used again afterwards: what
    was remembered under another generation may be out of date.
    """

    def __init__(self) -> None:
        self.generation = 0
        self._url = ""
        self._timeout = 0.0
        self._pipeline: Pipeline | None = None
        self._up: bool | None = None
        self._task: asyncio.Task[None] | None = None
        self._refusals = Refusals()

    async def call(self, commands: Sequence[Command]) -> Replies:
        """The commands' replies in their order, after one round trip shared with all calls of this tick.

        None when Redis is not configured, is down, is slower than the time-out, or refuses one of the
        commands: then they may or may not have been carried out. Raises nothing but for arguments that cannot
        be sent.
        """
        pipeline = self._pipeline
        if pipeline is None or not pipeline.ready or pipeline.loop is not asyncio.get_running_loop():
            return None
        return await pipeline.submit(commands)

    @property
    def configured(self) -> bool:
        """Whether there is a URL."""
        return bool(self._url)

    @property
    def state(self) -> State:
        """What is known of Redis, without asking."""
        if not self._url:
            return "disabled"
        return "up" if self._up else "down"

    async def ping(self) -> bool:
        """Whether Redis answers right now, within the time-out."""
        return await self.call([("PING",)]) is not None

    def register_script(self, source: str) -> bytes:
        """Its SHA-1 for EVALSHA. Every new connection loads the script, and so does a NOSCRIPT."""
        return self._refusals.register_script(source)

    async def open(self, url: str | None = None, timeout_seconds: float | None = None) -> None:
        """Connects, by default as the settings say, and stays connected until `close`.

        Returns after the first attempt, whether it succeeded or not.
        """
        if url is None or timeout_seconds is None:
            from django.conf import settings

            url = settings.REDIS_URL if url is None else url
            timeout_seconds = settings.REDIS_TIMEOUT_SECONDS if timeout_seconds is None else timeout_seconds
        self._url, self._timeout, self._up = url, timeout_seconds, None
        if url:
            tried = asyncio.Event()
            self._task = asyncio.create_task(self._stay_connected(tried), name="redis")
            await tried.wait()

    async def close(self) -> None:
        """Ends the connection and the background task. Calls that wait get None."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._url, self._up, self._task = "", None, None

    async def _stay_connected(self, tried: asyncio.Event) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            began = monotonic()
            was_used, reason = await self._use_connection(tried)
            self._turn_down(reason)
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
            pipeline = await self._connect()
            await self._probe(pipeline)
            self._turn_up(pipeline)
            tried.set()
            # Shielded: the end of this task must not pass for the pipeline's, which has callers to tell.
            return True, await asyncio.shield(pipeline.ended)
        # redis-py lets more through than its RedisError, and the task must live on.
        except Exception as error:
            metrics.FAILURES.labels(kind="connect").inc()
            return False, str(error) or type(error).__name__
        finally:
            self._pipeline = None
            metrics.CONNECTIONS.set(0)
            if pipeline:
                pipeline.end(BY_US, "the service closed it")
                await pipeline.disconnect()

    async def _connect(self) -> Pipeline:
        connection = make_connection(self._url)
        try:
            async with asyncio.timeout(max(CONNECT_SECONDS, 10 * self._timeout)):
                await connection.connect()  # type: ignore[no-untyped-call]
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        metrics.CONNECTIONS.set(1)
        return Pipeline(
            connection,
            timeout_seconds=self._timeout,
            on_trouble=self._note_trouble,
            on_refusal=self._refusals.settle,
        )

    async def _probe(self, pipeline: Pipeline) -> None:
        """Writes a key that expires, and loads the scripts. Raises unless Redis does the former in time."""
        replies = await self._refusals.submit_raw(pipeline, [PROBE, *self._refusals.load_commands()])
        if replies is None:
            raise TimeoutError(f"no reply within {self._timeout} s")
        if isinstance(replies[0], ReplyError):
            raise replies[0]

    def _turn_up(self, pipeline: Pipeline) -> None:
        self._pipeline, self._up = pipeline, True
        self.generation += 1
        metrics.UP.set(1)
        metrics.BREAKER_STATE.set(0)
        logger.info("Redis is up")

    def _turn_down(self, reason: str) -> None:
        was_up, self._up = self._up, False
        metrics.UP.set(0)
        metrics.BREAKER_STATE.set(1)
        if was_up is not False:
            logger.warning("Redis is down, the service goes on without it: %s", reason)

    def _note_trouble(self, kind: str) -> None:
        if kind != BY_US:
            self.generation += 1
            metrics.FAILURES.labels(kind=kind).inc()
