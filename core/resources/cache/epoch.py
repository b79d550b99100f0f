"""The epoch of the cache: one row of the database, by which whoever cannot reach Redis makes every entry void.

Each entry names the epoch in which it was made, and only entries of the current one are used. A change that could
not be told to the entry itself (Redis is out of its reach; it was made in the admin or in a shell, by the ORM)
turns the epoch after its commit instead. Every process looks at the row at least once a LEASE while it uses entries,
and a change is acknowledged one lease after the turn: by then nobody uses an entry from before.

The row also names the Redis, by its run_id. One that was restarted has perhaps come back with entries from before its
end, and a process that talks to another one than the rest would miss their changes.
"""

import asyncio
import secrets
import time
from time import monotonic

from django.conf import settings
from django.db import connection, transaction

from core.database.compiled import CompiledQuery
from core.database.pool import database
from core.models import CacheEpoch
from core.redis.client import RedisClient, redis

# How old the knowledge of the epoch may be. Entries are for load: a process that is asked less than once a lease
# looks at the epoch in place of the item each time, and is no worse off.
LEASE_SECONDS = 0.02
# Two clocks, and a timer that may go off early.
MARGIN_SECONDS = 0.002

_ROW = 1
_FIND = CompiledQuery(lambda: CacheEpoch.objects.filter(pk=_ROW).values_list("token", "redis_run_id"))


def find_epoch() -> tuple[str, str]:
    """The epoch's token and the run_id of its Redis; empty texts before the first."""
    row = _FIND.fetch_one()
    return (row[0], row[1]) if row else ("", "")


def begin_epoch(run_id: str | None = None) -> tuple[str, str]:
    """Stores a new epoch, of another Redis if told so, and returns it."""
    epoch = CacheEpoch(id=_ROW, token=secrets.token_hex(8), redis_run_id=run_id or "")
    names = ["token"] if run_id is None else ["token", "redis_run_id"]
    CacheEpoch.objects.bulk_create([epoch], update_conflicts=True, unique_fields=["id"], update_fields=names)
    return epoch.token, epoch.redis_run_id


def settle_epoch(run_id: str) -> tuple[str, str]:
    """The epoch, after making sure that it began with this Redis. Runs in a transaction."""
    found = find_epoch()
    return found if found[1] == run_id else begin_epoch(run_id)


def turn_on_commit() -> None:
    """For changes by the ORM: has all entries void as soon as this thread's transaction has committed.

    At most once for each transaction. Outside of one, and at its end, it takes a lease.
    """
    # Django's list of what is to be done; savepoints that are rolled back take theirs out of it.
    waiting = connection.run_on_commit
    if settings.REDIS_URL and not any(hook is _turn_and_wait for _, hook, *_ in waiting):
        transaction.on_commit(_turn_and_wait)


def _turn_and_wait() -> None:
    begin_epoch()
    time.sleep(LEASE_SECONDS + MARGIN_SECONDS)


class Epoch:
    """What a process knows of the epoch, and of whether it may go by the entries that it finds."""

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
        """Whether every reply since the epoch was found came from the same Redis, and none was lost."""
        return self._generation == self._client.generation and self._client.state == "up"

    async def is_trusted(self, asked: float) -> bool:
        """Whether entries of the epoch `token` answer a request that came at `asked` (monotonic seconds).

        Raises ServiceUnavailable if the database cannot be asked.
        """
        while self._client.state == "up":
            age = asked - self._looked_at
            if self.is_connected and age <= LEASE_SECONDS:
                if age > LEASE_SECONDS / 2:
                    _ = self._look()  # ahead of time, and nobody waits
                return self._run_id == self._its_run_id
            if not await asyncio.shield(self._look()):
                return False
        return False

    async def turn(self) -> None:
        """Makes all entries void; returns when nobody uses them any more.

        Of many that ask while one turn is being made, one makes the next. Raises ServiceUnavailable.
        """
        asked = monotonic()
        async with self._turning:
            if self._turned_at < asked:
                began = monotonic()
                await self._begin()
                self._turned_at = began
        await self._wait(LEASE_SECONDS + MARGIN_SECONDS)

    def _look(self) -> "asyncio.Future[bool]":
        """The look that is under way, or a new one.

        One that has ended will not do: to wait for it takes no turn of the loop, and what it found may be too old.
        """
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(self._renew())
            # Whoever waits for it has its exception too.
            self._looking.add_done_callback(lambda done: done.cancelled() or done.exception())
        return self._looking

    async def _renew(self) -> bool:
        generation, began = self._client.generation, monotonic()
        if generation == self._generation:
            token, self._its_run_id = await self._find()
        else:
            run_id = self._client.run_id
            # It answers, and so what it does not find is not there.
            if not run_id or not await self._client.ping():
                return False
            token, self._its_run_id = await self._settle(run_id)
            # Who is still at the server before this one has marks there alone; a change that is acknowledged there
            # has looked at the epoch within a lease. What is read after that lease is not older than the change.
            await self._wait(LEASE_SECONDS + MARGIN_SECONDS)
            self._generation, self._run_id = generation, run_id
        self.token, self._looked_at = token.encode(), began
        return True

    async def _find(self) -> tuple[str, str]:
        return await database.read(find_epoch)

    async def _settle(self, run_id: str) -> tuple[str, str]:
        return await database.write(lambda: settle_epoch(run_id))

    async def _begin(self) -> None:
        await database.write(begin_epoch)

    async def _wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


epoch = Epoch(redis)
