"""The PostgreSQL connection of a thread: opened when the server is up, checked before use, cut when it hangs."""

import asyncio
import os
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import django.db
from django.db import DatabaseError, connection
from django.db.backends.postgresql.base import Cursor
from psycopg import Connection, OperationalError
from psycopg.pq import PipelineStatus, TransactionStatus

from core.database.failures import READ_ONLY, STALE_SESSION, is_lost, sqlstate
from core.database.fast_path import current_fast_path, set_fast_path
from core.database.postgresql.fast_path import PostgresFastPath
from core.database.postgresql.options import is_behind_pgbouncer, set_timeouts_sql, statement_timeout_seconds
from core.database.postgresql.outage import Outage, outage

# Requests wait this long for a server that may be restarting.
RECONNECT_SECONDS = 3.0
# A write checks a connection that was idle for longer: the server may have vanished without closing it.
IDLE_SECONDS = 5.0
# How long a job may exceed the statement timeout before its connection is cut.
GRACE_SECONDS = 3.0


class _ThreadState(threading.local):
    psycopg_connection: Connection[Any] | None = None
    used_at = 0.0
    was_lost = False
    outage = outage
    waits_for_server = True


_state = _ThreadState()
# By thread id, for each running job: its start time, its connection, and the outage state of its server.
_running: dict[int, tuple[float, Connection[Any], Outage]] = {}


def use_server(entry: dict[str, Any], its_outage: Outage) -> None:
    """Connect this thread to another server than the primary; reads do not wait for it during an outage."""
    connection.settings_dict = {**connection.settings_dict, **entry}
    _state.outage, _state.waits_for_server = its_outage, False


def connect() -> None:
    """Connect this thread if the server is up. Otherwise the next job tries again."""
    with suppress(DatabaseError):
        _connect(wait_seconds=0.0)


@contextmanager
def working_connection(*, is_write: bool) -> Iterator[None]:
    """Provide a working Django connection in this thread, and leave it clean for the next job.

    Waits for a server that may be restarting, and raises Django's database errors.
    """
    _state.was_lost = False
    if connection.connection is not None and not _is_working(connection.connection, is_write=is_write):
        _state.outage.note_lost_connection()
        connection.close()
    if connection.connection is None:
        _connect(wait_seconds=RECONNECT_SECONDS if _state.waits_for_server else 0.0)
    thread = threading.get_ident()
    _running[thread] = (time.monotonic(), connection.connection, _state.outage)
    try:
        yield
        _state.used_at = time.monotonic()
    except BaseException as error:
        if is_lost_by(error):
            _state.was_lost = True
            _state.outage.note_lost_connection()
            connection.close()
        elif not _is_clean(connection.connection) or sqlstate(error) in STALE_SESSION | {READ_ONLY}:
            connection.close()
        raise
    finally:
        del _running[thread]


def was_connection_lost() -> bool:
    """Whether the last `working_connection` block of this thread lost its connection."""
    return _state.was_lost


def is_lost_by(error: BaseException) -> bool:
    """Whether the connection that the block began with is closed, replaced or broken."""
    used: Connection[Any] | None = connection.connection
    return used is None or used is not _state.psycopg_connection or used.closed or is_lost(error)


async def cut_unresponsive_connections() -> None:
    """Cut the connections of jobs whose server hangs: such a server cannot enforce its own statement timeout."""
    while True:
        await asyncio.sleep(1.0)
        latest_start = time.monotonic() - statement_timeout_seconds() - GRACE_SECONDS
        for started_at, psycopg_connection, _ in list(_running.values()):
            if started_at < latest_start:
                _cut(psycopg_connection)


def cut_connections(to: Outage) -> None:
    for _, psycopg_connection, server in list(_running.values()):
        if server is to:
            _cut(psycopg_connection)


def _cut(psycopg_connection: Connection[Any]) -> None:
    with (
        suppress(OSError, OperationalError),  # closed already
        socket.socket(fileno=os.dup(psycopg_connection.fileno())) as duplicate,
    ):
        duplicate.shutdown(socket.SHUT_RDWR)


def _connect(*, wait_seconds: float) -> None:
    set_fast_path(None)
    _state.outage.connect(_ensure_connection, wait_seconds=wait_seconds)
    _state.psycopg_connection, _state.used_at = connection.connection, time.monotonic()
    if _flush_before not in connection.execute_wrappers:
        connection.execute_wrappers.append(_flush_before)
    if not connection.queries_logged and _has_plain_cursors(connection.connection):
        # PgBouncer may give each transaction another session: its timeouts are set in every transaction.
        preamble = ["BEGIN", set_timeouts_sql(for_transaction=True)] if is_behind_pgbouncer() else ["BEGIN"]
        set_fast_path(PostgresFastPath(connection.connection, preamble=preamble, can_prepare=not is_behind_pgbouncer()))


def _ensure_connection() -> None:
    try:
        connection.ensure_connection()
    except OSError as error:  # psycopg found no file descriptor to wait with
        raise django.db.OperationalError(str(error)) from error


def _has_plain_cursors(psycopg_connection: Connection[Any]) -> bool:
    # Tracing replaces django-prometheus' cursor class.
    return psycopg_connection.cursor_factory.__bases__ == (Cursor,)


def _flush_before(execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    if isinstance(fast_path := current_fast_path(), PostgresFastPath):
        fast_path.flush()
    return execute(sql, params, many, context)


def _is_working(psycopg_connection: Connection[Any], *, is_write: bool) -> bool:
    if not _is_open(psycopg_connection):
        return False
    is_suspect = time.monotonic() - _state.used_at > IDLE_SECONDS or _state.outage.connection_lost_at > _state.used_at
    return not (is_write and is_suspect) or connection.is_usable()


def _is_open(psycopg_connection: Connection[Any]) -> bool:
    """Whether the server has not closed the connection. Reads what has arrived; sends nothing."""
    pgconn = psycopg_connection.pgconn
    try:
        poll = select.poll()
        poll.register(pgconn.socket, select.POLLIN)
        for _ in range(3):  # a last message, then the end of the stream
            if not poll.poll(0):
                break
            pgconn.consume_input()
    except OperationalError:
        return False
    return not psycopg_connection.closed


def _is_clean(psycopg_connection: Connection[Any]) -> bool:
    pgconn = psycopg_connection.pgconn
    return pgconn.transaction_status == TransactionStatus.IDLE and pgconn.pipeline_status == PipelineStatus.OFF
