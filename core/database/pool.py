"""The database, from the event loop: `await database.read(job)`, `await database.write(job)`.

A job is a plain function that uses the ORM or a compiled query. It runs in one of a fixed number of threads, each
with a connection that it keeps. On SQLite one thread of them writes, and commits what waits together at once.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection, connections, transaction
from django.db.transaction import TransactionManagementError

from core.database.failures import is_state, stays_with_connection, unavailable
from core.database.sqlite import with_checkpoints
from core.database.threads import Job, ThreadGroup

# How many reads one thread takes at once, and how many writes share a commit.
READ_BATCH, WRITE_BATCH = 8, 64

logger = logging.getLogger("agent_router.database")


class Database:
    """Owns the threads and, through them, the connections."""

    def __init__(self) -> None:
        self._readers: ThreadGroup | None = None
        self._writers: ThreadGroup | None = None
        self._is_sqlite = True

    async def open(self) -> None:
        """Starts the threads. Each connects by itself, and again when its connection is lost."""
        self._is_sqlite = connection.vendor == "sqlite"
        options: dict[str, Any] = {
            "finish": connections.close_all,
            "max_waiting": settings.DB_MAX_WAITING,
            "max_wait_seconds": settings.DB_MAX_WAIT_SECONDS,
        }
        self._readers = ThreadGroup(
            "database", count=settings.DB_POOL_SIZE, work=_run_each, prepare=_connect,
            batch=READ_BATCH if self._is_sqlite else 1, **options,
        )  # fmt: skip
        self._readers.open()
        self._writers = self._readers
        if self._is_sqlite:
            self._writers = ThreadGroup(
                "database-writer", count=1, work=_run_writes, prepare=_connect_writer, batch=WRITE_BATCH,
                **options,
            )  # fmt: skip
            self._writers.open()

    async def close(self) -> None:
        """Finishes the jobs that were taken, then closes threads and connections."""
        groups = dict.fromkeys(group for group in (self._readers, self._writers) if group is not None)
        self._readers = self._writers = None
        for group in groups:
            await group.close()

    async def read[T](self, job: Callable[[], T]) -> T:
        """Runs a job that changes nothing. It may run a second time if its connection turns out to be lost.

        Raises what the job raises; ServiceUnavailable if the database is out of reach or busy.
        """
        assert self._readers is not None, "the database is not open"
        result: T = await self._readers.submit(job if self._is_sqlite else _twice_if_lost(job))
        return result

    async def write[T](self, job: Callable[[], T]) -> T:
        """Runs a job in a transaction and returns after its commit. A job that raises leaves nothing behind.

        It may run a second time if the first was undone for no fault of its own.
        Raises what the job raises; ServiceUnavailable if the database is out of reach or busy.
        """
        assert self._writers is not None, "the database is not open"
        result: T = await self._writers.submit(job if self._is_sqlite else _in_transaction(job))
        return result

    def stats(self) -> dict[str, int]:
        """How many threads there are and how many jobs wait or run, for metrics."""
        groups = {group for group in (self._writers, self._readers) if group is not None}
        return {
            "size": sum(group.count for group in groups),
            "jobs": sum(group.waiting for group in groups),
        }


def _in_transaction[T](job: Callable[[], T]) -> Callable[[], T]:
    def run() -> T:
        # A connection that was cut while idle is found out before anything has been written over it.
        if not connection.is_usable():
            connection.close()
        return _run_atomically(job)

    return run


def _twice_if_lost[T](job: Callable[[], T]) -> Callable[[], T]:
    def run() -> T:
        try:
            return job()
        except (OperationalError, InterfaceError) as error:
            if not is_state(error) or connection.is_usable():
                raise
            connection.close()
            return job()

    return run


def _connect() -> None:
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
            if is_state(error) and _is_broken(error):
                connection.close()


def _is_broken(error: BaseException) -> bool:
    return stays_with_connection(error) if connection.vendor == "sqlite" else not connection.is_usable()


def _run_writes(jobs: Sequence[Job]) -> None:
    """Runs the jobs of SQLite's one writer, each in a transaction or in a savepoint of one for all of them."""
    if len(jobs) == 1:
        _run_write(jobs[0])
    else:
        _run_writes_together(jobs)
    if any(job.error is not None and stays_with_connection(job.error) for job in jobs):
        connection.close()


def _run_writes_together(jobs: Sequence[Job]) -> None:
    """One commit, one fsync for all. A job that fails takes nothing with it.

    If the commit fails for what one job did (a foreign key is checked there), each is run again by itself.
    """
    try:
        with transaction.atomic():
            for job in jobs:
                try:
                    job.result = _run_atomically(job.run)
                except BaseException as error:
                    if connection.needs_rollback:
                        # There is no savepoint to go back to: SQLite has ended the whole transaction.
                        raise
                    job.error = unavailable(error)
    except BaseException as error:
        for job in jobs:
            if is_state(error):
                job.error = unavailable(error)
            else:
                _run_write(job)


def _run_write(job: Job) -> None:
    job.error = None
    try:
        job.result = _run_atomically(job.run)
    except BaseException as error:
        job.error = unavailable(error)


def _run_atomically[T](job: Callable[[], T]) -> T:
    """Runs a job in a transaction, or in a savepoint of the one that is open."""
    with transaction.atomic():
        result = job()
        if connection.needs_rollback:
            # Django would undo the job without a word, and its caller would take it for done.
            raise TransactionManagementError("the job went on after a database error")
        if connection.run_on_commit:
            # What is to be done after the commit cannot undo it: its failure is logged, and harms no other job.
            hooks: Any = connection.run_on_commit
            hooks[:] = [(savepoints, hook, True) for savepoints, hook, _ in hooks]
        return result


database = Database()
