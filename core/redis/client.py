"""The client: callers receive replies while Redis is up, and None while it is down."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Literal

from django.conf import settings

from core.redis import metrics
from core.redis.cluster import Cluster
from core.redis.connection import ServerConnection
from core.redis.discovery import MASTER_CHECK_SECONDS, find_master
from core.redis.error_replies import ErrorReplies
from core.redis.pipeline import Command, Pipeline, Replies
from core.redis.url import Address, Node, parse_url

logger = logging.getLogger("agent_router.redis")

type State = Literal["up", "down", "disabled"]


class RedisClient:
    """One per process and event loop. Before `open`, and without a URL, every call returns None.

    `generation` changes when a command may have been lost and when Redis comes back: values cached under another
    generation may be stale. `run_id` (40 hexadecimal digits, or empty if unknown) changes with the running Redis.
    """

    def __init__(self) -> None:
        self.generation = 0
        self.run_id = ""
        self._url = ""
        self._address: Address | None = None
        self._pipeline: Pipeline | Cluster | None = None
        self._is_up: bool | None = None
        self._backend: ServerConnection | Cluster | None = None
        self._error_replies = ErrorReplies()

    async def call(self, commands: Sequence[Command]) -> Replies:
        """Return the replies in the order of the commands, after one round trip that concurrent calls share.

        None if Redis is not configured, is down, exceeds the timeout, or rejects one of the commands: any of the
        commands may have been executed. Raises only for arguments that cannot be sent.
        """
        pipeline = self._pipeline
        if pipeline is None or not pipeline.ready or pipeline.loop is not asyncio.get_running_loop():
            return None
        return await pipeline.submit(commands)

    @property
    def configured(self) -> bool:
        return bool(self._url)

    @property
    def state(self) -> State:
        """The last known state. A cluster is up while all of its nodes are."""
        if not self._url:
            return "disabled"
        return "up" if self._is_up else "down"

    async def ping(self) -> bool:
        """Whether Redis, in a cluster every node, answers within the timeout."""
        return await self.call([("PING",)]) is not None

    def register_script(self, source: str) -> bytes:
        """Return the script's SHA-1 for EVALSHA. Every new connection loads the script."""
        return self._error_replies.register_script(source)

    async def open(self, url: str | None = None, timeout_seconds: float | None = None) -> None:
        """Connect and stay connected until `close`. The defaults are the settings.

        Returns after the first attempt, even if it failed.
        """
        url = settings.REDIS_URL if url is None else url
        self._url, self._is_up = url, None
        if url:
            seconds = settings.REDIS_TIMEOUT_SECONDS if timeout_seconds is None else timeout_seconds
            self._address = parse_url(url)
            self._backend = self._create_backend(self._address, seconds)
            await self._backend.open()

    async def close(self) -> None:
        """Close the connections. Waiting calls return None."""
        if self._backend:
            await self._backend.close()
        self._url, self._is_up, self._pipeline, self._backend = "", None, None, None

    def _create_backend(self, address: Address, timeout_seconds: float) -> ServerConnection | Cluster:
        if address.kind == "cluster":
            self._pipeline = Cluster(self, address, self._error_replies, timeout_seconds=timeout_seconds)
            return self._pipeline
        return ServerConnection(
            self,
            address,
            self._error_replies,
            timeout_seconds=timeout_seconds,
            check_seconds=MASTER_CHECK_SECONDS if address.kind == "sentinel" else None,
        )

    async def locate(self, server: ServerConnection) -> Node | None:
        if self._address is not None and self._address.kind == "sentinel":
            return await find_master(self._address)
        return None

    def probe_key(self, server: ServerConnection) -> bytes:
        return b"ar:probe"

    def server_up(self, server: ServerConnection) -> None:
        self._pipeline = server.pipeline
        self.mark_up(server.run_id)

    def server_down(self, server: ServerConnection, reason: str) -> None:
        self._pipeline = None
        self.mark_down(reason)

    def mark_up(self, run_id: str) -> None:
        was_up, self._is_up = self._is_up, True
        self.run_id = run_id
        self.generation += 1
        metrics.UP.set(1)
        metrics.BREAKER_STATE.set(0)
        if not was_up:
            logger.info("Redis is up")

    def mark_down(self, reason: str) -> None:
        was_up, self._is_up = self._is_up, False
        metrics.UP.set(0)
        metrics.BREAKER_STATE.set(1)
        if was_up is not False:
            logger.warning("Redis is down, the service goes on without it: %s", reason)

    def note_lost_commands(self) -> None:
        self.generation += 1


redis = RedisClient()
