"""One read replica: its threads with connections, and whether reads go there."""

import logging
import time
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from django.conf import settings
from django.db import connections

from core.database.failures import is_lost
from core.database.metrics import POOL_WAIT
from core.database.postgresql import connection as postgres_connection
from core.database.postgresql import replica_metrics
from core.database.postgresql.outage import Outage
from core.database.postgresql.wal_position import Position, Standing, find_replayed, find_standing
from core.database.threads import Job, ThreadGroup

# How long a read waits for the replica to catch up, and so how far behind it may be.
MAX_LAG_SECONDS = 0.05
LOOK_AGAIN_SECONDS = 0.001
# How many of the primary's places are remembered to tell the lag; beyond that every other is forgotten.
MAX_REMEMBERED = 100
# How long a replica stays out at least. One that does not last stays out for longer each time.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 30.0
STABLE_SECONDS = 10.0

logger = logging.getLogger("agent_router.database")


class NotReplayed(Exception):
    """The replica has not come as far as the read needs."""


class Replica:
    """`entry` is Django's for the database. Left out until `judge` lets it in; used by one event loop."""

    def __init__(self, entry: dict[str, Any]) -> None:
        self.name = name_of(entry)
        self.timeline = 0
        self.is_in_use = False
        self._entry, self._outage = entry, Outage(is_told=False)
        self._readers = self._threads("replica", settings.DB_POOL_SIZE)
        # Its own: a probe tells how the server is, not how many reads wait for it.
        self._prober = self._threads("replica-probe", 1)
        self._written: list[tuple[float, Position]] = []
        self._used_since, self._out_until, self._pause = 0.0, 0.0, FIRST_PAUSE_SECONDS
        self._is_told = False
        replica_metrics.IN_USE.labels(self.name).set(0)

    def _threads(self, name: str, count: int) -> ThreadGroup:
        return ThreadGroup(
            f"{name}-{self.name}", count=count, batch=1, work=_run_each, prepare=self._connect,
            finish=connections.close_all, max_waiting=settings.DB_MAX_WAITING,
            max_wait_seconds=settings.DB_MAX_WAIT_SECONDS, observe_wait=POOL_WAIT.observe,
        )  # fmt: skip

    def _connect(self) -> None:
        postgres_connection.lead_to(self._entry, self._outage)
        postgres_connection.connect()

    def open(self) -> None:
        """Starts the threads."""
        for group in self.groups:
            group.open()

    async def close(self) -> None:
        """Ends the threads after the jobs that they have."""
        for group in self.groups:
            await group.close()

    @property
    def groups(self) -> tuple[ThreadGroup, ThreadGroup]:
        return self._readers, self._prober

    async def read[T](self, job: Callable[[], T], wanted: Position) -> T:
        """Runs a job once the replica has come to a place in the log.

        Raises what the job raises; NotReplayed, DatabaseError or ServiceUnavailable if the primary has to run it.
        """
        if wanted.timeline != self.timeline:
            raise NotReplayed
        try:
            result: T = await self._readers.submit(lambda: self._read(job, wanted))
        except NotReplayed:
            self.leave_out("lag", "it is too far behind the primary")
            raise
        except Exception as error:
            if is_lost(error):
                self.leave_out("failure", str(error))
            raise
        replica_metrics.READS.labels(self.name).inc()
        return result

    def _read[T](self, job: Callable[[], T], wanted: Position) -> T:
        if not self.is_in_use:  # before a connection is made: that may take its time
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
            time.sleep(LOOK_AGAIN_SECONDS)

    async def look(self, written: Position) -> Standing:
        """How it stands. Raises DatabaseError; ServiceUnavailable if its probes are not answered."""
        standing: Standing = await self._prober.submit(lambda: look(written))
        return standing

    def judge(self, standing: Standing, *, system: int, written: Position) -> None:
        """Lets it in or leaves it out, by how it stood when the primary had `written`."""
        self._note_lag(standing.replayed or 0, written)
        if standing.replayed is None:
            self.leave_out("failure", "it is no standby")
        elif standing.system != system:
            self.leave_out("failure", "it is a standby of another server than DB_DSN's")
        elif written.timeline not in standing.timelines:
            self.leave_out("failure", "it has not followed the primary's last failover yet")
        elif standing.replayed < written.at:
            self.leave_out("lag", "it is too far behind the primary")
        elif not self.is_in_use and monotonic() >= self._out_until:
            self.timeline = written.timeline
            self._let_in()

    def leave_out(self, reason: str, told: str) -> None:
        """Has it take no reads until it is let in again. `reason` is one of few, `told` is for the log."""
        now = monotonic()
        if self.is_in_use:
            self.is_in_use = False
            is_new = now - self._used_since > STABLE_SECONDS
            self._pause = FIRST_PAUSE_SECONDS if is_new else min(2 * self._pause, LONGEST_PAUSE_SECONDS)
            self._out_until = now + self._pause
            replica_metrics.LEFT_OUT.labels(self.name, reason).inc()
            replica_metrics.IN_USE.labels(self.name).set(0)
        elif self._is_told:
            return
        self._is_told = True
        logger.warning("The read replica %s is left out: %s", self.name, told.strip().partition("\n")[0])

    def _let_in(self) -> None:
        self.is_in_use, self._is_told, self._used_since = True, False, monotonic()
        replica_metrics.IN_USE.labels(self.name).set(1)
        logger.info("The read replica %s is in use", self.name)

    def cut_connections(self) -> None:
        """Ends jobs that wait for its answer."""
        postgres_connection.cut_connections(self._outage)

    @property
    def waiting(self) -> int:
        """How many reads wait for it or run."""
        return self._readers.waiting

    def _note_lag(self, replayed: int, written: Position) -> None:
        now = monotonic()
        self._written = [one for one in self._written if one[1].at > replayed] + [(now, written)]
        if len(self._written) > MAX_REMEMBERED:
            del self._written[1::2]
        lag = 0.0 if replayed >= written.at else now - self._written[0][0]
        replica_metrics.LAG_SECONDS.labels(self.name).set(lag)


def name_of(entry: dict[str, Any]) -> str:
    """What the log, metrics and the doctor call it."""
    return f"{entry['HOST'] or 'localhost'}:{entry['PORT'] or 5432}"


def look(written: Position) -> Standing:
    """How the standby of this thread's connection stands when it has come to a place, or has had the time to."""
    with postgres_connection.working_connection(is_write=False):
        deadline = monotonic() + MAX_LAG_SECONDS
        while (find_replayed() or 0) < written.at and monotonic() < deadline:
            time.sleep(LOOK_AGAIN_SECONDS)
        return find_standing()


def _run_each(jobs: Sequence[Job]) -> None:
    """Runs each job. Its error goes to the caller as it is, who turns to the primary."""
    for job in jobs:
        try:
            job.result = job.run()
        except BaseException as error:
            job.error = error
