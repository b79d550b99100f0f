"""The client: callers get replies while Redis can be used, and None while it cannot.

What REDIS_URL names decides where commands go: one server, or Sentinel's master of the moment, over a `Link`; or the
nodes of a `Cluster`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal

from core.redis import metrics
from core.redis.link import Link
from core.redis.pipeline import Command, Pipeline, Replies
from core.redis.refusals import Refusals
from core.redis.url import Address, Node, parse_url

if TYPE_CHECKING:
    from core.redis.cluster import Cluster

logger = logging.getLogger("agent_router.redis")

type State = Literal["up", "down", "disabled"]

PROBE_KEY = b"ar:probe"


class RedisClient:
    """One for each process and event loop. Before `open` and without a URL every call is None, at no cost.

    `generation` changes whenever a command may have been lost, and when Redis is used again afterwards: what
    was remembered under another generation may be out of date. `run_id` tells which Redis it is while it is up: 40
    hexadecimal digits that change with a restart, with a fail-over and with the nodes of a cluster; empty if it does
    not tell.
    """

    def __init__(self) -> None:
        self.generation = 0
        self.run_id = ""
        self._url = ""
        self._pipeline: Pipeline | Cluster | None = None
        self._up: bool | None = None
        self._connected: Link | Cluster | None = None
        self._refusals = Refusals()

    async def call(self, commands: Sequence[Command]) -> Replies:
        """The commands' replies in their order, after one round trip shared with all calls of this tick.

        None when Redis is not configured, is down, is slower than the time-out, or refuses one of the
        commands: then they may or may not have been carried out. Raises nothing but for arguments that cannot
        be sent. In a cluster each command goes to the node of its key, all at the same time.
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
        """What is known of Redis, without asking. A cluster is up when all of its nodes are."""
        if not self._url:
            return "disabled"
        return "up" if self._up else "down"

    async def ping(self) -> bool:
        """Whether Redis, in a cluster each node, answers right now, within the time-out."""
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
        self._url, self._up = url, None
        if url:
            self._connected = self._make_connected(parse_url(url), timeout_seconds)
            await self._connected.open()

    async def close(self) -> None:
        """Ends the connections and the background tasks. Calls that wait get None."""
        if self._connected:
            await self._connected.close()
        self._url, self._up, self._pipeline, self._connected = "", None, None, None

    def _make_connected(self, address: Address, timeout_seconds: float) -> "Link | Cluster":
        if address.kind == "cluster":
            from core.redis.cluster import Cluster

            self._pipeline = Cluster(self, address, self._refusals, timeout_seconds=timeout_seconds)
            return self._pipeline

        locate: Callable[[], Awaitable[Node | None]] = _locate_by_url
        locate_seconds = None
        if address.kind == "sentinel":
            from core.redis.sentinel import LOOK_AGAIN_SECONDS, find_master

            locate, locate_seconds = partial(find_master, address), LOOK_AGAIN_SECONDS
        return Link(
            self,
            address,
            self._refusals,
            timeout_seconds=timeout_seconds,
            locate=locate,
            locate_seconds=locate_seconds,
            probe_key=lambda: PROBE_KEY,
        )

    def link_up(self, link: Link) -> None:
        """The one server can be used."""
        self._pipeline = link.pipeline
        self.turn_up(link.run_id)

    def link_down(self, link: Link, reason: str) -> None:
        """The one server cannot be used."""
        self._pipeline = None
        self.turn_down(reason)

    def turn_up(self, run_id: str) -> None:
        """Notes that Redis is up, or another one than before."""
        was_up, self._up = self._up, True
        self.run_id = run_id
        self.generation += 1
        metrics.UP.set(1)
        metrics.BREAKER_STATE.set(0)
        if not was_up:
            logger.info("Redis is up")

    def turn_down(self, reason: str) -> None:
        """Notes that Redis, or a node of it, cannot be used."""
        was_up, self._up = self._up, False
        metrics.UP.set(0)
        metrics.BREAKER_STATE.set(1)
        if was_up is not False:
            logger.warning("Redis is down, the service goes on without it: %s", reason)

    def note_trouble(self, kind: str) -> None:
        """Notes that commands may have been lost."""
        self.generation += 1


async def _locate_by_url() -> Node | None:
    return None


redis = RedisClient()
