"""Compiled statements on PostgreSQL without Django's cursors: prepared once, sent together in libpq's pipeline mode.

Within a transaction a statement is queued until a caller needs a result: BEGIN is sent with the first such statement,
COMMIT with the statements that are still queued. docs/decisions/0006-database-fast-paths.md
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple, Self

from django.db import connection
from django.db.transaction import TransactionManagementError
from psycopg import Connection, OperationalError, errors, generators
from psycopg.abc import PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult
from psycopg.waiting import wait

from core.database.metrics import statements

# A connection with more prepared statements deallocates all of them: a list alone can have thousands of shapes.
MAX_PREPARED = 200
# How often a thread that waits for a result checks for signals.
WAIT_SECONDS = 1.0

type Row = tuple[Any, ...]


class Statement(NamedTuple):
    """SQL and values in the form in which libpq sends them."""

    sql: bytes
    values: Sequence[Any] = ()
    types: tuple[int, ...] = ()
    formats: Sequence[Any] = ()
    is_prepared: bool = True


class PostgresResult:
    def __init__(self, result: PGresult, transformer: Any) -> None:
        self._result, self._transformer = result, transformer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._result.clear()

    @property
    def rowcount(self) -> int:
        return self._result.command_tuples or 0

    def fetchone(self) -> Row | None:
        rows = self.fetchall()
        return rows[0] if rows else None

    def fetchall(self) -> list[Row]:
        self._transformer.set_pgresult(self._result)
        rows: list[Row] = self._transformer.load_rows(0, self._result.ntuples, tuple)
        return rows


class PostgresFastPath:
    """Runs statements on one psycopg connection, in one thread.

    `preamble` starts each transaction. `can_prepare` is False if PgBouncer may give each transaction another session.
    """

    def __init__(self, psycopg_connection: Connection[Any], *, preamble: Sequence[str], can_prepare: bool) -> None:
        self.psycopg_connection = psycopg_connection
        self._pgconn = psycopg_connection.pgconn
        self._transformer = Transformer(psycopg_connection)
        self._statements = statements(connection.alias, connection.vendor)
        self._preamble = [Statement(sql.encode()) for sql in preamble]
        self._can_prepare = can_prepare
        self._prepared: dict[tuple[bytes, tuple[int, ...]], bytes] = {}
        self._prepared_count = 0
        self._queue: list[Statement] = []
        self._is_in_transaction = False

    def execute(self, sql: str, values: Sequence[Any], *, force_custom_plan: bool = False) -> PostgresResult:
        """Send the queued statements and this one. Raises Django's database errors of any of them."""
        # The server may switch a prepared statement to a generic plan after a few executions.
        self._queue.append(self._statement(sql, values, is_prepared=not force_custom_plan))
        result = self.flush()
        assert result is not None
        return PostgresResult(result, self._transformer)

    def queue(self, sql: str, values: Sequence[Any]) -> None:
        """Queue a statement within a transaction; its errors are raised by a later statement or by the COMMIT."""
        self._queue.append(self._statement(sql, values))
        if not self._is_in_transaction:
            self.flush()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Begin with the first statement of the block and commit at its end. The caller rolls back after an error."""
        self._is_in_transaction = True
        try:
            yield
            self._commit()
        finally:
            self._queue.clear()
            self._is_in_transaction = False

    def flush(self) -> PGresult | None:
        """Send the queued statements and return the last result. Raises Django's database errors."""
        queued, self._queue = self._queue, []
        if self._is_in_transaction and self._is_idle():
            queued = self._preamble + queued
        if not queued:
            return None
        return self._statements.measure(self._run, queued, count=len(queued))

    def _run(self, queued: Sequence[Statement]) -> PGresult:
        with connection.wrap_database_errors:
            result: PGresult = wait(self._exchange(queued), self._pgconn.socket, WAIT_SECONDS)
        return result

    def _commit(self) -> None:
        if not self._queue and self._is_idle():
            return
        self._queue.append(Statement(b"COMMIT"))
        result = self.flush()
        if result is None or result.command_status != b"COMMIT":
            raise TransactionManagementError("the job went on after an error that had aborted its transaction")

    def _is_idle(self) -> bool:
        return self._pgconn.transaction_status == TransactionStatus.IDLE

    def _statement(self, sql: str, values: Sequence[Any], *, is_prepared: bool = True) -> Statement:
        transformer = self._transformer
        dumped = transformer.dump_sequence(values, [PyFormat.AUTO] * len(values))
        return Statement(_with_numbers(sql), dumped, transformer.types or (), transformer.formats or (), is_prepared)

    def _exchange(self, queued: Sequence[Statement]) -> PQGen[PGresult]:
        """Send the statements and receive their results. After an error, the server skips the other statements."""
        pgconn = self._pgconn
        pgconn.enter_pipeline_mode()
        # One entry per expected result: the key of the statement that it prepares, or None.
        expected = [key for statement in queued for key in self._send(statement)]
        pgconn.pipeline_sync()
        result: PGresult | None = None
        failure: PGresult | None = None
        try:
            yield from generators.send(pgconn)
            for key in expected:
                [result] = yield from generators.fetch_many(pgconn)
                if result.status in (ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_ABORTED):
                    failure = failure or result
                    if key is not None:
                        self._prepared.pop(key, None)
            yield from generators.fetch_many(pgconn)
            pgconn.exit_pipeline_mode()
        except OperationalError:
            # A server that shuts down sends an error before it disconnects: that error says more.
            if failure is None:
                raise
        if failure is not None:
            raise errors.error_from_result(failure)
        assert result is not None
        return result

    def _send(self, statement: Statement) -> Iterator[tuple[bytes, tuple[int, ...]] | None]:
        pgconn, (sql, values, types, formats, is_prepared) = self._pgconn, statement
        if not (is_prepared and self._can_prepare):
            pgconn.send_query_params(sql, values, param_types=types, param_formats=formats)
            yield None
            return
        key = (sql, types)
        name = self._prepared.get(key)
        if name is None:
            if len(self._prepared) >= MAX_PREPARED:
                self._prepared.clear()
                pgconn.send_query_params(b"DEALLOCATE ALL", None)
                yield None
            self._prepared_count += 1
            name = self._prepared[key] = b"agent_router_%d" % self._prepared_count
            pgconn.send_prepare(name, sql, types)
            yield key
        pgconn.send_query_prepared(name, values, param_formats=formats)
        yield None


@lru_cache(maxsize=1024)
def _with_numbers(sql: str) -> bytes:
    """Replace Django's placeholders (%s) by the server's ($1)."""
    numbers = iter(range(1, sql.count("%s") + 1))
    return re.sub("%[s%]", lambda found: f"${next(numbers)}" if found[0] == "%s" else "%", sql).encode()
