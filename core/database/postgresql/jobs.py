"""Jobs on PostgreSQL: on a working connection, in a transaction if they write, and again when a retry is safe.

A job may run more than once; its transaction commits at most once. If the connection is lost after COMMIT was sent,
the outcome is unknown: the client receives 503, and its idempotency key makes a retry safe.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from threading import local

from django.db import connection

from core.database.failures import CONFLICTS, STALE_SESSION, sqlstate, unavailable
from core.database.fast_path import current_fast_path
from core.database.postgresql.connection import is_lost_by, was_connection_lost, working_connection
from core.database.postgresql.fast_path import PostgresFastPath
from core.database.postgresql.options import is_behind_pgbouncer, set_timeouts_sql
from core.database.threads import Job
from core.database.transactions import check_not_doomed, run_atomically

MAX_ATTEMPTS = 3
# The other transaction takes the released lock first.
CONFLICT_PAUSE_SECONDS = 0.02


_state = local()


def run_each(jobs: Sequence[Job]) -> None:
    for job in jobs:
        job.execute()
        if job.error is not None:
            job.error = unavailable(job.error)


def read[T](job: Callable[[], T]) -> T:
    return _retry(job, is_write=False)


def write[T](job: Callable[[], T]) -> T:
    return _retry(partial(run_atomically, partial(_in_transaction, job)), is_write=True)


def _retry[T](run: Callable[[], T], *, is_write: bool) -> T:
    for attempt in range(1, MAX_ATTEMPTS + 1):
        _state.is_committing = False
        try:
            with working_connection(is_write=is_write):
                return run()
        except BaseException as error:
            if attempt == MAX_ATTEMPTS or not _may_retry(error):
                raise
            if sqlstate(error) in CONFLICTS:
                time.sleep(CONFLICT_PAUSE_SECONDS * attempt)
    raise AssertionError("the last attempt returns or raises")


def _may_retry(error: BaseException) -> bool:
    return sqlstate(error) in CONFLICTS | STALE_SESSION or (was_connection_lost() and not _state.is_committing)


def _in_transaction[T](job: Callable[[], T]) -> T:
    try:
        with _begin():
            result = job()
            check_not_doomed()
            _state.is_committing = True
    except BaseException as error:
        if is_lost_by(error):
            # Otherwise Django would reconnect at the end of its transaction.
            connection.close()
        raise
    return result


def _begin() -> AbstractContextManager[None]:
    if isinstance(fast_path := current_fast_path(), PostgresFastPath):
        return fast_path.transaction()
    if is_behind_pgbouncer():
        connection.cursor().execute(set_timeouts_sql(for_transaction=True))
    return nullcontext()
