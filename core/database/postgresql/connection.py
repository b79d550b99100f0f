"""The connection of a thread to PostgreSQL: made when the server is there, tried before use, cut when it hangs."""

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
from core.database.postgresql.options import is_behind_pgbouncer, statement_timeout_seconds, waits
from core.database.postgresql.outage import Outage, outage

# How long requests wait for a server that has just gone away: it may be restarting.
PATIENCE_SECONDS = 3.0
# A connection that has been idle for longer is tried before a write: the server may have vanished without a word.
IDLE_SECONDS = 5.0
# How much longer than any statement may take the server may keep a job waiting.
GRACE_SECONDS = 3.0


class _Here(threading.local):
    psycopg_connection: Connection[Any] | None = None
    used_at = 0.0
    was_lost = False
    outage = outage
    patience_seconds = PATIENCE_SECONDS


_here = _Here()
# The connection of each job that runs, since when, and to which server (by its outage); by its thread.
_running: dict[int, tuple[float, Connection[Any], Outage]] = {}


def lead_to(entry: dict[str, Any], its_outage: Outage) -> None:
    """Has this thread's connection lead to another server than the primary; nobody waits for that if it is away."""
    connection.settings_dict = {**connection.settings_dict, **entry}
    _here.outage, _here.patience_seconds = its_outage, 0.0


def connect() -> None:
    """Has this thread connect if the server is there; if not, it goes on without."""
    try:
        _connect(patience_seconds=0)
    except DatabaseError:
        return  # the outage is in the log


@contextmanager
def working_connection(*, is_write: bool) -> Iterator[None]:
    """Has Django's connection of this thread work at the beginning of the block, and ready for others at its end.

    Waits a while for a server that has just gone away, and raises Django's database errors. `lost_in_block` tells
    afterwards whether it is the block that lost its connection.
    """
    _here.was_lost = False
    if connection.connection is not None and not _is_working(connection.connection, is_write=is_write):
        _here.outage.note_lost_connection()
        connection.close()
    if connection.connection is None:
        _connect(patience_seconds=_here.patience_seconds)
    thread = threading.get_ident()
    _running[thread] = (time.monotonic(), connection.connection, _here.outage)
    try:
        yield
        _here.used_at = time.monotonic()
    except BaseException as error:
        if is_lost_by(error):
            _here.was_lost = True
            _here.outage.note_lost_connection()
            connection.close()
        elif not _is_tidy(connection.connection) or sqlstate(error) in STALE_SESSION | {READ_ONLY}:
            connection.close()
        raise
    finally:
        del _running[thread]


def lost_in_block() -> bool:
    """Whether the last block of `working_connection` lost its connection."""
    return _here.was_lost


def is_lost_by(error: BaseException) -> bool:
    """Whether, with this error, the connection is no longer the one that the block began with, or of no use."""
    used: Connection[Any] | None = connection.connection
    return used is None or used is not _here.psycopg_connection or used.closed or is_lost(error)


async def cut_connections_without_answer() -> None:
    """Ends, until cancelled, jobs whose server neither answers nor closes the connection.

    The server's own limits are no help when it is the server that hangs.
    """
    while True:
        await asyncio.sleep(1.0)
        latest_start = time.monotonic() - statement_timeout_seconds() - GRACE_SECONDS
        for started_at, psycopg_connection, _ in list(_running.values()):
            if started_at < latest_start:
                _cut(psycopg_connection)


def cut_connections(to: Outage) -> None:
    """Ends the jobs that run on one server."""
    for _, psycopg_connection, server in list(_running.values()):
        if server is to:
            _cut(psycopg_connection)


def _cut(psycopg_connection: Connection[Any]) -> None:
    with (
        suppress(OSError, OperationalError),  # it is closed already
        socket.socket(fileno=os.dup(psycopg_connection.fileno())) as another,
    ):
        another.shutdown(socket.SHUT_RDWR)


def _connect(*, patience_seconds: float) -> None:
    set_fast_path(None)
    _here.outage.connect(_ensure_connection, patience_seconds=patience_seconds)
    _here.psycopg_connection, _here.used_at = connection.connection, time.monotonic()
    if _send_waiting not in connection.execute_wrappers:
        connection.execute_wrappers.append(_send_waiting)
    if not connection.queries_logged and _has_plain_cursors(connection.connection):
        # PgBouncer gives each transaction another connection: nothing is left there for the next.
        preamble = ["BEGIN", waits(for_transaction=True)] if is_behind_pgbouncer() else ["BEGIN"]
        set_fast_path(PostgresFastPath(connection.connection, preamble=preamble, can_prepare=not is_behind_pgbouncer()))


def _ensure_connection() -> None:
    try:
        connection.ensure_connection()
    except OSError as error:  # psycopg's own waiting has no descriptor left
        raise django.db.OperationalError(str(error)) from error


def _has_plain_cursors(psycopg_connection: Connection[Any]) -> bool:
    """Whether nobody but django-prometheus watches the statements: tracing does so with cursors of its own."""
    factory = psycopg_connection.cursor_factory
    return factory.__bases__ == (Cursor,)


def _send_waiting(execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Before a statement of the ORM: what was to go before it."""
    if isinstance(fast_path := current_fast_path(), PostgresFastPath):
        fast_path.flush()
    return execute(sql, params, many, context)


def _is_working(psycopg_connection: Connection[Any], *, is_write: bool) -> bool:
    if not _is_open(psycopg_connection):
        return False
    is_doubtful = time.monotonic() - _here.used_at > IDLE_SECONDS or _here.outage.connection_lost_at > _here.used_at
    return not (is_write and is_doubtful) or connection.is_usable()


def _is_open(psycopg_connection: Connection[Any]) -> bool:
    """Whether the server has not closed it, without asking: what arrives between jobs is the news of its end."""
    pgconn = psycopg_connection.pgconn
    try:
        poll = select.poll()
        poll.register(pgconn.socket, select.POLLIN)
        for _ in range(3):  # a message, and the end of the stream behind it
            if not poll.poll(0):
                break
            pgconn.consume_input()
    except OperationalError:
        return False
    return not psycopg_connection.closed


def _is_tidy(psycopg_connection: Connection[Any]) -> bool:
    pgconn = psycopg_connection.pgconn
    return pgconn.transaction_status == TransactionStatus.IDLE and pgconn.pipeline_status == PipelineStatus.OFF
