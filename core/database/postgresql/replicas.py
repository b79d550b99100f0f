"""Read replicas (DB_REPLICA_DSN): standbys of the primary serve reads, unless they lag or fail.

A read sees everything that any process had committed before the read began: the pool asks the primary for its WAL
position, once for all waiting reads, and a replica serves them after it has replayed that position.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, Protocol

from django.db import DatabaseError

from core.database.postgresql.replica import READS, NotReplayed, Replica
from core.database.postgresql.wal_position import SharedQuery, find_system, find_written
from core.database.threads import ThreadGroup
from core.http.problems import ServiceUnavailable

PROBE_SECONDS = 0.25
# A replica that does not answer a probe in time is excluded, and its waiting reads go to the primary.
PROBE_TIMEOUT_SECONDS = 1.0


class Read(Protocol):
    """Runs a job on the primary."""

    def __call__[T](self, job: Callable[[], T]) -> Awaitable[T]: ...


class Replicas:
    def __init__(self, entries: Sequence[dict[str, Any]], read: Read) -> None:
        self._all = [Replica(entry) for entry in entries]
        self._read = read
        self._written = SharedQuery(partial(read, find_written))
        self._system = 0
        self._watches: list[asyncio.Task[None]] = []
        self._turn = 0

    def open(self) -> None:
        """Connect and start the probes. A replica takes reads after its first good probe."""
        for replica in self._all:
            replica.open()
            self._watches.append(asyncio.create_task(self._watch(replica), name=f"replica {replica.name}"))

    async def close(self) -> None:
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        await asyncio.gather(*(replica.close() for replica in self._all))

    async def read[T](self, job: Callable[[], T]) -> T:
        """Run a job on a replica if possible, otherwise on the primary."""
        if (replica := self._choose()) is not None:
            try:
                return await replica.read(job, await self._written.result())
            except (NotReplayed, DatabaseError, ServiceUnavailable):
                pass  # the primary serves the read
        READS.labels("primary").inc()
        return await self._read(job)

    def _choose(self) -> Replica | None:
        """Return the replica with the fewest waiting reads; equally busy replicas take turns."""
        usable = [replica for replica in self._all if replica.is_in_use]
        if not usable:
            return None
        self._turn += 1
        start = self._turn % len(usable)
        return min(usable[start:] + usable[:start], key=attrgetter("waiting"))

    @property
    def are_all_in_use(self) -> bool:
        return all(replica.is_in_use for replica in self._all)

    @property
    def groups(self) -> list[ThreadGroup]:
        return [group for replica in self._all for group in replica.groups]

    async def _watch(self, replica: Replica) -> None:
        while True:
            await self._probe(replica)
            await asyncio.sleep(PROBE_SECONDS)

    async def _probe(self, replica: Replica) -> None:
        try:
            self._system = self._system or await self._read(find_system)
            written = await self._written.result()
        except (DatabaseError, ServiceUnavailable):
            return  # while the primary is down, no read reaches a replica
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
                status = await replica.probe(written)
        except TimeoutError:
            replica.exclude("failure", f"it has not answered for {PROBE_TIMEOUT_SECONDS:.0f} s")
            replica.cut_connections()
        except (DatabaseError, ServiceUnavailable) as error:
            replica.exclude("failure", str(error))
        else:
            replica.update(status, system=self._system, written=written)
