"""Jobs on PostgreSQL: on a connection that works, in a transaction if they write, again if that is safe.

A job may run more than once; its transaction commits at most once. Once COMMIT has been sent and the connection is
lost, nobody knows whether the server carried it out: the client is told 503, and its idempotency key is for that.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from threading import local

from django.db import connection

from core.database.failures import CLASHES, STALE_SESSION, sqlstate
from core.database.fast_path import current_fast_path
from core.database.postgresql.connection import is_lost_by, lost_in_block, working_connection
from core.database.postgresql.fast_path import PostgresFastPath
from core.database.postgresql.options import is_behind_pgbouncer, waits
from core.database.transactions import refuse_if_undone, run_atomically

# A job that clashes with another each time is not let at it for ever.
ATTEMPTS = 3
# So that the rival, which waits for what was just let go, comes first.
CLASH_PAUSE_SECONDS = 0.02


class _Here(local):
    is_committing = False


_here = _Here()


def reading[T](job: Callable[[], T]) -> Callable[[], T]:
    """The job on a connection that works. Run again when the connection is lost meanwhile."""

    def run() -> T:
        return _with_attempts(job, is_write=False)

    return run


def writing[T](job: Callable[[], T]) -> Callable[[], T]:
    """The job in a transaction. Run again when the transaction was certainly undone, by its rival or by the server."""

    def run() -> T:
        return _with_attempts(lambda: run_atomically(lambda: _in_transaction(job)), is_write=True)

    return run


def _with_attempts[T](run: Callable[[], T], *, is_write: bool) -> T:
    for attempt in range(1, ATTEMPTS + 1):
        _here.is_committing = False
        try:
            with working_connection(is_write=is_write):
                return run()
        except BaseException as error:
            if attempt == ATTEMPTS or not _may_run_again(error):
                raise
            if sqlstate(error) in CLASHES:
                time.sleep(CLASH_PAUSE_SECONDS * attempt)
    raise AssertionError("the last attempt returns or raises")


def _may_run_again(error: BaseException) -> bool:
    return sqlstate(error) in CLASHES | STALE_SESSION or (lost_in_block() and not _here.is_committing)


def _in_transaction[T](job: Callable[[], T]) -> T:
    try:
        with _begin():
            result = job()
            refuse_if_undone()
            _here.is_committing = True
    except BaseException as error:
        if is_lost_by(error):
            # Before the end of the transaction: Django would connect again by itself there.
            connection.close()
        raise
    return result


def _begin() -> AbstractContextManager[None]:
    if isinstance(fast_path := current_fast_path(), PostgresFastPath):
        return fast_path.transaction()
    if is_behind_pgbouncer():
        connection.cursor().execute(waits(for_transaction=True))
    return nullcontext()
