"""The database, from the event loop: `await database.read(job)` and `await database.write(job)`.

A job is a plain function that uses the ORM or a compiled query. It runs in a thread that keeps its own connection:

                  reads                               writes
    SQLite        DB_POOL_SIZE threads                one thread; jobs that wait share a commit
    PostgreSQL    DB_POOL_SIZE threads for both; `read_anywhere` may use a read replica's threads
"""

from collections.abc import Callable
from functools import partial

from django.conf import settings
from django.db import connection

from core.database.postgresql import connection as postgres_connection
from core.database.postgresql import jobs as postgres_jobs
from core.database.postgresql.options import limit_new_connections
from core.database.postgresql.replicas import Replicas
from core.database.sqlite import jobs as sqlite_jobs
from core.database.threads import ThreadGroup
from core.process.background import BackgroundTask

# SQLite: how many reads a thread runs together, and how many writes share a commit.
READ_BATCH, WRITE_BATCH = 8, 64
# Loop iterations that a write waits for others to commit with: see docs/decisions/0003-group-commit.md.
WRITE_TURNS = 6


class Database:
    def __init__(self) -> None:
        self._is_sqlite = True
        self._readers: ThreadGroup | None = None
        self._writers: ThreadGroup | None = None
        self._sqlite_writer = sqlite_jobs.Writer()
        self._replicas: Replicas | None = None
        self._watchdog = BackgroundTask("unresponsive-connections")
        # Writes that this process has committed.
        self.writes = 0

    async def open(self) -> None:
        """Start the threads. They connect in the background, so the service starts while the database is down."""
        self._is_sqlite = connection.vendor == "sqlite"
        if self._is_sqlite:
            self._open_sqlite()
        else:
            self._open_postgres()

    def _open_sqlite(self) -> None:
        self._readers = ThreadGroup(
            "database",
            count=settings.DB_POOL_SIZE,
            connect=sqlite_jobs.connect,
            work=sqlite_jobs.run_reads,
            batch=READ_BATCH,
        )
        self._writers = ThreadGroup(
            "database-writer",
            count=1,
            connect=sqlite_jobs.connect_writer,
            work=self._sqlite_writer.run,
            batch=WRITE_BATCH,
            turns=WRITE_TURNS,
        )
        self._readers.open()
        self._writers.open()

    def _open_postgres(self) -> None:
        limit_new_connections()
        self._readers = self._writers = ThreadGroup(
            "database",
            count=settings.DB_POOL_SIZE,
            connect=postgres_connection.connect,
            work=postgres_jobs.run_each,
        )
        self._readers.open()
        self._watchdog.start(postgres_connection.cut_unresponsive_connections())
        if settings.DB_REPLICAS:
            self._replicas = Replicas(settings.DB_REPLICAS, self.read)
            self._replicas.open()

    async def close(self) -> None:
        """Finish the submitted jobs, then close threads and connections."""
        if self._replicas is not None:
            await self._replicas.close()
            self._replicas = None
        groups = self._groups()
        self._readers = self._writers = None
        for group in groups:
            await group.close()
        await self._watchdog.stop()

    async def read[T](self, job: Callable[[], T]) -> T:
        """Run a job that changes nothing. If its connection turns out to be lost, the job runs again.

        Raises what the job raises; ServiceUnavailable if the database is unavailable or busy.
        """
        assert self._readers is not None, "the database is not open"
        return await self._readers.submit(job if self._is_sqlite else partial(postgres_jobs.read, job))

    async def read_anywhere[T](self, job: Callable[[], T]) -> T:
        """Read from a replica that has replayed everything committed before this call, otherwise from the primary."""
        return await (self.read(job) if self._replicas is None else self._replicas.read(job))

    async def write[T](self, job: Callable[[], T]) -> T:
        """Run a job in a transaction and return after its commit. If the job raises, its changes are rolled back.

        The job may run again if its transaction was rolled back for a reason outside the job.
        Raises what the job raises; ServiceUnavailable if the database is unavailable or busy.
        """
        assert self._writers is not None, "the database is not open"
        result = await self._writers.submit(job if self._is_sqlite else partial(postgres_jobs.write, job))
        self.writes += 1
        return result

    def add_commit_step(self, step: Callable[[], None]) -> None:
        """Call `step` at the end of each of SQLite's write transactions. If it fails, the commit goes on without it."""
        self._sqlite_writer.before_commit.append(step)

    def remove_commit_step(self, step: Callable[[], None]) -> None:
        if step in self._sqlite_writer.before_commit:
            self._sqlite_writer.before_commit.remove(step)

    @property
    def are_replicas_in_use(self) -> bool:
        return self._replicas is None or self._replicas.are_all_in_use

    def stats(self) -> dict[str, int]:
        """Return the number of threads (`size`) and of jobs that wait or run (`jobs`)."""
        groups = self._groups()
        if self._replicas is not None:
            groups += self._replicas.groups
        return {"size": sum(group.count for group in groups), "jobs": sum(group.waiting for group in groups)}

    def _groups(self) -> list[ThreadGroup]:
        # On PostgreSQL, readers and writers are the same group.
        return list(dict.fromkeys(group for group in (self._readers, self._writers) if group is not None))


database = Database()
