"""Jobs on SQLite: readers run them one by one; the one writer commits all jobs that wait in one transaction.

docs/decisions/0003-group-commit.md has the reasons and figures.
"""

import logging
from collections.abc import Callable, Sequence

from django.conf import settings
from django.db import DatabaseError, connection, transaction

from core.database.failures import is_corruption, is_unavailability, requires_reconnect, unavailable
from core.database.fast_path import current_fast_path, set_fast_path
from core.database.sqlite.fast_path import SQLiteFastPath
from core.database.sqlite.options import with_checkpoints
from core.database.threads import Job
from core.database.transactions import check_not_doomed, mark_hooks_robust, run_atomically

logger = logging.getLogger("agent_router.database")


def connect() -> None:
    """Open this thread's connection. If that fails, the next job tries again."""
    if not (settings.OTEL_EXPORTER_OTLP_ENDPOINT or connection.queries_logged):
        set_fast_path(SQLiteFastPath())
    try:
        connection.ensure_connection()
    except DatabaseError as error:
        logger.warning("The database is out of reach: %s", type(error).__name__)


def connect_writer() -> None:
    """Open the connection of the writer thread, which checkpoints the WAL."""
    # In the thread's own settings, so that a later reconnect checkpoints, too.
    connection.settings_dict = with_checkpoints(connection.settings_dict)
    connect()


def run_reads(jobs: Sequence[Job]) -> None:
    for job in jobs:
        job.execute()
        _translate_error(job)


class Writer:
    """Runs the write jobs, and the `before_commit` steps at the end of each transaction.

    A job or a step that fails is rolled back to its savepoint; the other jobs still commit.
    """

    def __init__(self) -> None:
        self.before_commit: list[Callable[[], None]] = []

    def run(self, jobs: Sequence[Job]) -> None:
        if len(jobs) == 1:
            self._run_alone(jobs[0], self.before_commit)
        else:
            self._run_together(jobs)
        for job in jobs:
            _translate_error(job)

    def _run_together(self, jobs: Sequence[Job]) -> None:
        """Run all jobs in one transaction.

        If the COMMIT fails because of one job (a broken foreign key, a corrupt page), run each job again alone.
        """
        try:
            with transaction.atomic():
                for job in jobs:
                    _run_in_savepoint(job)
                _run_steps(self.before_commit)
        except BaseException as error:
            for job in jobs:
                if is_unavailability(error) and not is_corruption(error):
                    job.error = error
                else:
                    self._run_alone(job, self.before_commit)

    def _run_alone(self, job: Job, steps: Sequence[Callable[[], None]]) -> None:
        job.error = None
        try:
            with transaction.atomic():
                job.result = job.run()
                check_not_doomed()
                _run_steps(steps)
                mark_hooks_robust()
        except BaseException as error:
            if steps and is_corruption(error):
                # The corrupt page may belong to a step and not to the job.
                self._run_alone(job, ())
            else:
                job.error = error


def _run_in_savepoint(job: Job) -> None:
    try:
        job.result = _in_savepoint(job.run)
    except BaseException as error:
        if connection.needs_rollback:  # SQLite ended the whole transaction
            raise
        job.error = error


def _run_steps(steps: Sequence[Callable[[], None]]) -> None:
    for step in steps:
        try:
            _in_savepoint(step)
        except Exception:
            if connection.needs_rollback:
                raise
            logger.warning("A step before the commit failed; the commit goes on without it", exc_info=True)


def _in_savepoint[T](function: Callable[[], T]) -> T:
    fast_path = current_fast_path()
    return fast_path.run_in_savepoint(function) if isinstance(fast_path, SQLiteFastPath) else run_atomically(function)


def _translate_error(job: Job) -> None:
    if job.error is not None:
        job.error = unavailable(job.error)
        if requires_reconnect(job.error):
            connection.close()
