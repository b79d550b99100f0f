"""The epoch of the cache: one database row that invalidates every entry, also when Redis is unreachable.

A change that cannot reach its entry (Redis is down, or the ORM makes the change) turns the epoch after its commit.
Every process rereads the row once per lease, and the change is acknowledged one lease after the turn. The row also
names the Redis server by its run_id, because a restarted or different server may have old entries.
"""

import asyncio
import secrets
import time
from functools import partial
from time import monotonic
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from core.database.compiled import CompiledQuery
from core.database.pool import database
from core.models import CacheEpoch
from core.redis.client import RedisClient, redis

# The greatest age of a process's knowledge of the epoch.
LEASE_SECONDS = 0.02
# For the difference between two clocks, and for a timer that fires early.
MARGIN_SECONDS = 0.002

_ROW = 1
_FIND = CompiledQuery(lambda: CacheEpoch.objects.filter(pk=_ROW).values_list("token", "redis_run_id"))


def find_epoch() -> tuple[str, str]:
    """Return the epoch's token and the run_id of its Redis, or empty texts before the first epoch."""
    row = _FIND.fetch_one()
    return (row.token, row.redis_run_id) if row else ("", "")


def begin_epoch(run_id: str | None = None) -> tuple[str, str]:
    """Store a new epoch and return it. A `run_id` binds it to another Redis server."""
    epoch = CacheEpoch(id=_ROW, token=secrets.token_hex(8), redis_run_id=run_id or "")
    names = ["token"] if run_id is None else ["token", "redis_run_id"]
    CacheEpoch.objects.bulk_create([epoch], update_conflicts=True, unique_fields=["id"], update_fields=names)
    return epoch.token, epoch.redis_run_id


def settle_epoch(run_id: str) -> tuple[str, str]:
    """Return the epoch, a new one if it belongs to another Redis server. Must run in a transaction."""
    found = find_epoch()
    return found if found[1] == run_id else begin_epoch(run_id)


def turn_on_commit() -> None:
    """Invalidate all entries when this thread's transaction commits, or now outside of one. Takes one lease."""
    # A savepoint that rolls back removes its hooks from Django's list.
    waiting = connection.run_on_commit
    if settings.REDIS_URL and not any(hook is _turn_and_wait for _, hook, *_ in waiting):
        transaction.on_commit(_turn_and_wait)


def _turn_and_wait() -> None:
    begin_epoch()
    time.sleep(LEASE_SECONDS + MARGIN_SECONDS)


class Epoch:
    """What a process knows about the epoch: whether it may use the entries that it finds."""

    def __init__(self, client: RedisClient) -> None:
        self.token = b""
        self._client = client
        self._generation = -1
        self._run_id, self._its_run_id = "", ""
        self._looked_at = 0.0
        self._looking: asyncio.Future[bool] | None = None
        self._turned_at = 0.0
        self._turning = asyncio.Lock()

    @property
    def is_connected(self) -> bool:
        """Return whether every reply since the last look came from the same Redis, without a loss."""
        return self._generation == self._client.generation and self._client.state == "up"

    async def is_trusted(self, asked: float) -> bool:
        """Return whether entries of the epoch `token` may be used for a request from `asked` (monotonic seconds).

        Raises ServiceUnavailable if the database is unreachable.
        """
        while self._client.state == "up":
            age = asked - self._looked_at
            if self.is_connected and age <= LEASE_SECONDS:
                if age > LEASE_SECONDS / 2:
                    _ = self._look()  # early, so that no request waits for it
                return self._run_id == self._its_run_id
            if not await asyncio.shield(self._look()):
                return False
        return False

    async def turn(self) -> None:
        """Invalidate all entries, and return when no process uses them any more. Raises ServiceUnavailable.

        Of many callers during one turn, one makes the next turn for all.
        """
        asked = monotonic()
        async with self._turning:
            if self._turned_at < asked:
                began = monotonic()
                await self._begin()
                self._turned_at = began
        await self._wait(LEASE_SECONDS + MARGIN_SECONDS)

    def _look(self) -> "asyncio.Future[bool]":
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(self._renew())
            self._looking.add_done_callback(retrieve_exception)
        return self._looking

    async def _renew(self) -> bool:
        generation, began = self._client.generation, monotonic()
        if generation == self._generation:
            token, self._its_run_id = await self._find()
        else:
            run_id = self._client.run_id
            # The ping proves that a missing entry is really missing.
            if not run_id or not await self._client.ping():
                return False
            token, self._its_run_id = await self._settle(run_id)
            # A process that still uses the previous server has its marks only there, but looks at the epoch within a
            # lease. Rows read after that lease are not older than its changes.
            await self._wait(LEASE_SECONDS + MARGIN_SECONDS)
            self._generation, self._run_id = generation, run_id
        self.token, self._looked_at = token.encode(), began
        return True

    async def _find(self) -> tuple[str, str]:
        return await database.read(find_epoch)

    async def _settle(self, run_id: str) -> tuple[str, str]:
        return await database.write(partial(settle_epoch, run_id))

    async def _begin(self) -> None:
        await database.write(begin_epoch)

    async def _wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def retrieve_exception(done: "asyncio.Future[Any]") -> None:
    """Keep asyncio from logging the exception of a future that nobody awaits."""
    if not done.cancelled():
        done.exception()


epoch = Epoch(redis)
