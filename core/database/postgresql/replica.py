"""One read replica: its threads and connections, and whether it takes reads."""

import logging
import time
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

from django.conf import settings
from prometheus_client import Counter, Gauge

from core.database.failures import is_lost
from core.database.postgresql import connection as postgres_connection
from core.database.postgresql.outage import Outage
from core.database.postgresql.wal_position import Position, StandbyStatus, find_replayed, find_status
from core.database.threads import ThreadGroup, execute_each

# A read waits this long for the replica to catch up.
MAX_LAG_SECONDS = 0.05
POLL_SECONDS = 0.001
# Positions of the primary that are kept to compute the lag; beyond that, every other position is dropped.
MAX_POSITIONS = 100
# How long an excluded replica stays excluded. The time doubles if the replica fails again within STABLE_SECONDS.
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.25, 30.0
STABLE_SECONDS = 10.0

LAG_SECONDS = Gauge(
    "db_replica_lag_seconds",
    "How long ago the primary wrote the oldest change that the replica has not replayed",
    ["replica"],
    multiprocess_mode="livemax",
)
IN_USE = Gauge(
    "db_replica_in_use",
    "1 while the replica takes reads, 0 while it is excluded",
    ["replica"],
    multiprocess_mode="livemin",
)
LEFT_OUT = Counter("db_replica_left_out_total", "Times that the replica was excluded", ["replica", "reason"])
READS = Counter("db_replica_reads_total", "Reads that a replica may serve, by the server that served them", ["server"])

logger = logging.getLogger("agent_router.database")


class NotReplayed(Exception):
    """The replica is excluded, or has not replayed the position that the read needs."""


class Replica:
    """A replica, excluded until `update` includes it. `entry` is its DATABASES entry. Used by one event loop."""

    def __init__(self, entry: dict[str, Any]) -> None:
        self.name = name_of(entry)
        self.timeline = 0
        self.is_in_use = False
        self._entry, self._outage = entry, Outage(is_logged=False)
        self._readers = self._threads("replica", settings.DB_POOL_SIZE)
        # Separate, so that a probe does not wait behind reads.
        self._prober = self._threads("replica-probe", 1)
        self._written: list[tuple[float, Position]] = []
        self._used_since, self._excluded_until, self._pause = 0.0, 0.0, FIRST_PAUSE_SECONDS
        self._is_logged = False
        IN_USE.labels(self.name).set(0)

    def _threads(self, name: str, count: int) -> ThreadGroup:
        # Errors reach the caller unchanged: the primary serves the read instead.
        return ThreadGroup(f"{name}-{self.name}", count=count, connect=self._connect, work=execute_each)

    def _connect(self) -> None:
        postgres_connection.use_server(self._entry, self._outage)
        postgres_connection.connect()

    def open(self) -> None:
        for group in self.groups:
            group.open()

    async def close(self) -> None:
        for group in self.groups:
            await group.close()

    @property
    def groups(self) -> tuple[ThreadGroup, ThreadGroup]:
        return self._readers, self._prober

    async def read[T](self, job: Callable[[], T], wanted: Position) -> T:
        """Run a job after the replica has replayed a position. Raises NotReplayed if the primary must run it."""
        if wanted.timeline != self.timeline:
            raise NotReplayed
        try:
            result = await self._readers.submit(partial(self._read, job, wanted))
        except NotReplayed:
            self.exclude("lag", "it is too far behind the primary")
            raise
        except Exception as error:
            if is_lost(error):
                self.exclude("failure", str(error))
            raise
        READS.labels(self.name).inc()
        return result

    def _read[T](self, job: Callable[[], T], wanted: Position) -> T:
        if not self.is_in_use:  # checked before connecting, which may take long
            raise NotReplayed
        with postgres_connection.working_connection(is_write=False):
            self._wait_for(wanted)
            return job()

    def _wait_for(self, wanted: Position) -> None:
        deadline = monotonic() + MAX_LAG_SECONDS
        while True:
            replayed = find_replayed()
            if replayed is not None and replayed >= wanted.at:
                return
            if replayed is None or not self.is_in_use or monotonic() > deadline:
                raise NotReplayed
            time.sleep(POLL_SECONDS)

    async def probe(self, written: Position) -> StandbyStatus:
        """Return the replica's status. Raises DatabaseError; ServiceUnavailable if earlier probes still wait."""
        return await self._prober.submit(partial(wait_and_find_status, written))

    def update(self, status: StandbyStatus, *, system: int, written: Position) -> None:
        """Include or exclude the replica by its status when the primary had `written`."""
        self._update_lag(status.replayed or 0, written)
        if status.replayed is None:
            self.exclude("failure", "it is no standby")
        elif status.system != system:
            self.exclude("failure", "it is a standby of another server than DB_DSN's")
        elif written.timeline not in status.timelines:
            self.exclude("failure", "it has not followed the primary's last failover yet")
        elif status.replayed < written.at:
            self.exclude("lag", "it is too far behind the primary")
        elif not self.is_in_use and monotonic() >= self._excluded_until:
            self.timeline = written.timeline
            self._include()

    def exclude(self, reason: str, explanation: str) -> None:
        """Send no reads to the replica. `reason` is a metric label, `explanation` goes to the log."""
        now = monotonic()
        if self.is_in_use:
            self.is_in_use = False
            was_stable = now - self._used_since > STABLE_SECONDS
            self._pause = FIRST_PAUSE_SECONDS if was_stable else min(2 * self._pause, MAX_PAUSE_SECONDS)
            self._excluded_until = now + self._pause
            LEFT_OUT.labels(self.name, reason).inc()
            IN_USE.labels(self.name).set(0)
        elif self._is_logged:
            return
        self._is_logged = True
        logger.warning("The read replica %s is left out: %s", self.name, explanation.strip().partition("\n")[0])

    def _include(self) -> None:
        self.is_in_use, self._is_logged, self._used_since = True, False, monotonic()
        IN_USE.labels(self.name).set(1)
        logger.info("The read replica %s is in use", self.name)

    def cut_connections(self) -> None:
        postgres_connection.cut_connections(self._outage)

    @property
    def waiting(self) -> int:
        return self._readers.waiting

    def _update_lag(self, replayed: int, written: Position) -> None:
        now = monotonic()
        not_replayed = [(at, position) for at, position in self._written if position.at > replayed]
        self._written = [*not_replayed, (now, written)]
        if len(self._written) > MAX_POSITIONS:
            del self._written[1::2]
        oldest, _ = self._written[0]
        LAG_SECONDS.labels(self.name).set(0.0 if replayed >= written.at else now - oldest)


def name_of(entry: dict[str, Any]) -> str:
    return f"{entry['HOST'] or 'localhost'}:{entry['PORT'] or 5432}"


def wait_and_find_status(written: Position) -> StandbyStatus:
    """Return the status of this thread's standby, after it has replayed `written` or MAX_LAG_SECONDS have passed."""
    with postgres_connection.working_connection(is_write=False):
        deadline = monotonic() + MAX_LAG_SECONDS
        while (find_replayed() or 0) < written.at and monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return find_status()
