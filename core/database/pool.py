"""The database, from the event loop: `await database.read(job)`, `await database.write(job)`.

A job is a plain function that uses the ORM or a compiled query. It runs in one of a fixed number of threads, each
with a connection that it keeps. On SQLite one thread of them writes, and commits what waits together at once.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import DatabaseError, connection, connections, transaction

from core.database.failures import is_damage, is_state, stays_with_connection, unavailable
from core.database.fast_path import current_fast_path, set_fast_path
from core.database.metrics import POOL_WAIT
from core.database.sqlite.fast_path import SQLiteFastPath
from core.database.sqlite.options import with_checkpoints
from core.database.threads import Job, ThreadGroup
from core.database.transactions import refuse_if_undone, run_atomically
from core.process.background import BackgroundTask
from core.process.warm_up import AFTER_SECONDS

if TYPE_CHECKING:
    from core.database.postgresql.replicas import Replicas

# How many reads one thread takes at once, and how many writes share a commit.
READ_BATCH, WRITE_BATCH = 8, 64
# Turns of the loop for which writes wait for each other. A commit costs more than the writes in it: when a tenth of the
# requests write, this makes all of them a tenth cheaper, and 12 turns none cheaper than that.
WRITE_TURNS = 6

logger = logging.getLogger("agent_router.database")


class Database:
    """Owns the threads and, through them, the connections."""

    def __init__(self) -> None:
        self._readers: ThreadGroup | None = None
        self._writers: ThreadGroup | None = None
        self._is_sqlite = True
        # What a job becomes on PostgreSQL, to find a connection and a transaction by itself.
        self._reading: Callable[[Callable[[], Any]], Callable[[], Any]] = _as_it_is
        self._writing = self._reading
        self._watch = BackgroundTask("connections-without-answer")
        self._replicas: Replicas | None = None
        # What SQLite's writer does at the end of each of its transactions. What fails is left out of it.
        self.before_commit: list[Callable[[], None]] = []
        # How many writes this process has committed so far.
        self.writes = 0

    async def open(self) -> None:
        """Starts the threads. Each connects by itself, and again when its connection is lost."""
        self._is_sqlite = connection.vendor == "sqlite"
        connect = _connect
        if not self._is_sqlite:
            from core.database.postgresql import connection as postgres_connection
            from core.database.postgresql import jobs as postgres_jobs
            from core.database.postgresql import options as postgres_options

            postgres_options.limit_new_connections()
            self._reading, self._writing = postgres_jobs.reading, postgres_jobs.writing
            self._watch.start(postgres_connection.cut_connections_without_answer())
            connect = postgres_connection.connect
        options: dict[str, Any] = {
            "finish": connections.close_all,
            "observe_wait": POOL_WAIT.observe,
            "max_waiting": settings.DB_MAX_WAITING,
            "max_wait_seconds": settings.DB_MAX_WAIT_SECONDS,
            # A connection to SQLite takes a few tenths of a millisecond: whoever needs one sooner waits for it, and a
            # start does not. None is left for later: a time may come with no descriptor for it.
            "prepare_after": AFTER_SECONDS if self._is_sqlite else 0.0,
        }
        self._readers = ThreadGroup(
            "database", count=settings.DB_POOL_SIZE, work=_run_each, prepare=connect,
            batch=READ_BATCH if self._is_sqlite else 1, **options,
        )  # fmt: skip
        self._readers.open()
        self._writers = self._readers
        if self._is_sqlite:
            self._writers = ThreadGroup(
                "database-writer", count=1, work=partial(_run_writes, self.before_commit), prepare=_connect_writer,
                batch=WRITE_BATCH, turns=WRITE_TURNS, **options,
            )  # fmt: skip
            self._writers.open()
        elif settings.DB_REPLICAS:
            from core.database.postgresql.replicas import Replicas

            self._replicas = Replicas(settings.DB_REPLICAS, self.read)
            self._replicas.open()

    async def close(self) -> None:
        """Finishes the jobs that were taken, then closes threads and connections."""
        if self._replicas is not None:
            await self._replicas.close()
            self._replicas = None
        groups = dict.fromkeys(group for group in (self._readers, self._writers) if group is not None)
        self._readers = self._writers = None
        for group in groups:
            await group.close()
        await self._watch.stop()

    async def read[T](self, job: Callable[[], T]) -> T:
        """Runs a job that changes nothing. It may run a second time if its connection turns out to be lost.

        Raises what the job raises; ServiceUnavailable if the database is out of reach or busy.
        """
        assert self._readers is not None, "the database is not open"
        result: T = await self._readers.submit(self._reading(job))
        return result

    async def read_anywhere[T](self, job: Callable[[], T]) -> T:
        """The same, on a read replica if there is one that has all that was committed before the call."""
        result: T = await (self.read(job) if self._replicas is None else self._replicas.read(job))
        return result

    async def write[T](self, job: Callable[[], T]) -> T:
        """Runs a job in a transaction and returns after its commit. A job that raises leaves nothing behind.

        It may run a second time if the first was undone for no fault of its own.
        Raises what the job raises; ServiceUnavailable if the database is out of reach or busy.
        """
        assert self._writers is not None, "the database is not open"
        result: T = await self._writers.submit(self._writing(job))
        self.writes += 1
        return result

    @property
    def are_replicas_in_use(self) -> bool:
        """Whether no read replica is left out, if there are any."""
        return self._replicas is None or self._replicas.are_all_in_use

    def stats(self) -> dict[str, int]:
        """How many threads there are and how many jobs wait or run, for metrics."""
        groups = {group for group in (self._writers, self._readers) if group is not None}
        if self._replicas is not None:
            groups.update(self._replicas.groups)
        return {
            "size": sum(group.count for group in groups),
            "jobs": sum(group.waiting for group in groups),
        }


def _as_it_is(job: Callable[[], Any]) -> Callable[[], Any]:
    return job


def _connect() -> None:
    # Tracing and DEBUG watch Django's cursors.
    if not (settings.OTEL_EXPORTER_OTLP_ENDPOINT or connection.queries_logged):
        set_fast_path(SQLiteFastPath())
    try:
        connection.ensure_connection()
    except DatabaseError as error:
        logger.warning("The database is out of reach: %s", type(error).__name__)


def _connect_writer() -> None:
    # In the thread's own settings, so that a connection which has to be made anew checkpoints, too.
    connection.settings_dict = with_checkpoints(connection.settings_dict)
    _connect()


def _run_each(jobs: Sequence[Job]) -> None:
    """Runs each job by itself."""
    for job in jobs:
        try:
            job.result = job.run()
        except BaseException as error:
            job.error = unavailable(error)
            if stays_with_connection(error):
                connection.close()


def _run_writes(before_commit: Sequence[Callable[[], None]], jobs: Sequence[Job]) -> None:
    """Runs the jobs of SQLite's one writer, each in a transaction or in a savepoint of one for all of them."""
    if len(jobs) == 1:
        _run_write(jobs[0], before_commit)
    else:
        _run_writes_together(jobs, before_commit)
    if any(job.error is not None and stays_with_connection(job.error) for job in jobs):
        connection.close()


def _run_writes_together(jobs: Sequence[Job], before_commit: Sequence[Callable[[], None]]) -> None:
    """One commit, one fsync for all. A job that fails takes nothing with it.

    If the commit fails for what one job did (a foreign key is checked there, and whether what was read is damaged),
    each is run again by itself.
    """
    try:
        with transaction.atomic():
            for job in jobs:
                try:
                    job.result = _in_savepoint(job.run)
                except BaseException as error:
                    if connection.needs_rollback:
                        # There is no savepoint to go back to: SQLite has ended the whole transaction.
                        raise
                    job.error = unavailable(error)
            _finish(before_commit)
    except BaseException as error:
        for job in jobs:
            if is_state(error) and not is_damage(error):
                job.error = unavailable(error)
            else:
                _run_write(job, before_commit)


def _run_write(job: Job, before_commit: Sequence[Callable[[], None]]) -> None:
    def run() -> Any:
        result = job.run()
        refuse_if_undone()
        _finish(before_commit)
        return result

    job.error = None
    try:
        job.result = run_atomically(run)
    except BaseException as error:
        if before_commit and is_damage(error):
            # Perhaps it is not the job that has met it.
            _run_write(job, ())
        else:
            job.error = unavailable(error)


def _finish(before_commit: Sequence[Callable[[], None]]) -> None:
    for step in before_commit:
        try:
            _in_savepoint(step)
        except Exception:
            if connection.needs_rollback:
                raise
            logger.warning("What belongs to each commit failed, and was left out of one", exc_info=True)


def _in_savepoint[T](job: Callable[[], T]) -> T:
    fast_path = current_fast_path()
    return fast_path.run_in_savepoint(job) if isinstance(fast_path, SQLiteFastPath) else run_atomically(job)


database = Database()
