"""Read replicas (DB_REPLICA_DSN): standbys of the primary take reads, unless they lag or fail.

A read sees all that was acknowledged before it began, to whomever and by whatever process, the admin included. So it
asks the primary how far its log is written, one question for all reads that wait at that moment, and a replica takes
it once it has replayed as much. Nobody needs to know who wrote what a moment ago, in which process and on which host;
and what is cached of it is as new as if the primary had been read.

Reading order: `replicas` (what the pool calls), `replica` (one of them), `wal_position` (what servers are asked).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from django.db import DatabaseError

from core.database.postgresql import replica_metrics
from core.database.postgresql.replica import NotReplayed, Replica
from core.database.postgresql.wal_position import SharedQuestion, find_system, find_written
from core.database.threads import ThreadGroup
from core.http.problems import ServiceUnavailable

PROBE_SECONDS = 0.25
# One that is silent for longer is left out; what waits for it turns to the primary.
ANSWER_SECONDS = 1.0


class Read(Protocol):
    """Runs a job on the primary."""

    def __call__[T](self, job: Callable[[], T]) -> Awaitable[T]: ...


class Replicas:
    """All of them. `read` is the primary's."""

    def __init__(self, entries: Sequence[dict[str, Any]], read: Read) -> None:
        self._all = [Replica(entry) for entry in entries]
        self._read = read
        self._written = SharedQuestion(lambda: read(find_written))
        self._system = 0
        self._watches: list[asyncio.Task[None]] = []
        self._turn = 0

    def open(self) -> None:
        """Starts to connect, and to look whether they can be used. None is in use before."""
        for replica in self._all:
            replica.open()
            self._watches.append(asyncio.create_task(self._watch(replica), name=f"replica {replica.name}"))

    async def close(self) -> None:
        """Ends what runs there."""
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        await asyncio.gather(*(replica.close() for replica in self._all))

    async def read[T](self, job: Callable[[], T]) -> T:
        """Runs a job on a replica that can, or else on the primary. Raises what the job raises; ServiceUnavailable."""
        if (replica := self._choose()) is not None:
            try:
                return await replica.read(job, await self._written.answer())
            except (NotReplayed, DatabaseError, ServiceUnavailable):
                pass  # whatever it was: the primary's answer is the one that counts
        replica_metrics.READS.labels("primary").inc()
        return await self._read(job)

    def _choose(self) -> Replica | None:
        """The one with the least to do; those with as little take turns."""
        usable = [replica for replica in self._all if replica.is_in_use]
        if len(usable) < 2:
            return usable[0] if usable else None
        self._turn += 1
        start = self._turn % len(usable)
        return min(usable[start:] + usable[:start], key=lambda replica: replica.waiting)

    @property
    def are_all_in_use(self) -> bool:
        return all(replica.is_in_use for replica in self._all)

    @property
    def groups(self) -> list[ThreadGroup]:
        """Their threads."""
        return [group for replica in self._all for group in replica.groups]

    async def _watch(self, replica: Replica) -> None:
        while True:
            await self._probe(replica)
            await asyncio.sleep(PROBE_SECONDS)

    async def _probe(self, replica: Replica) -> None:
        try:
            self._system = self._system or await self._read(find_system)
            written = await self._written.answer()
        except (DatabaseError, ServiceUnavailable):
            return  # without the primary no read gets as far as a replica
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                standing = await replica.look(written)
        except TimeoutError:
            replica.leave_out("failure", f"it has not answered for {ANSWER_SECONDS:.0f} s")
            replica.cut_connections()
        except (DatabaseError, ServiceUnavailable) as error:
            replica.leave_out("failure", str(error))
        else:
            replica.judge(standing, system=self._system, written=written)
