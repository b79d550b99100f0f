"""Statements on PostgreSQL below Django's cursors: prepared once, sent together, answered in one round trip.

A round trip costs this process several times what the rest of a statement does: the thread goes to sleep, is woken,
and waits for its turn at the interpreter. So within a transaction a statement waits until somebody needs its answer:
BEGIN leaves with the first such statement, COMMIT with whatever is still waiting (libpq's pipeline mode; psycopg's
own pipeline polls the socket once for each statement).

Queries of the ORM go on through Django's cursors, in the same transaction.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from time import perf_counter
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

# Beyond this a connection forgets them all and starts over: the shapes of a list alone are thousands.
MAX_PREPARED = 200
# How often a thread that waits for an answer looks whether the process was interrupted.
LOOK_EVERY_SECONDS = 1.0

type Row = tuple[Any, ...]


class Statement(NamedTuple):
    """SQL and values as they go to the server."""

    sql: bytes
    values: Sequence[Any] = ()
    types: tuple[int, ...] = ()
    formats: Sequence[Any] = ()
    is_prepared: bool = True


class Answer:
    """What the server said to a statement, as a cursor would tell it."""

    def __init__(self, result: PGresult, transformer: Any) -> None:
        self._result, self._transformer = result, transformer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._result.clear()

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""
        return self._result.command_tuples or 0

    def fetchone(self) -> Row | None:
        """The first row, or None."""
        rows = self.fetchall()
        return rows[0] if rows else None

    def fetchall(self) -> list[Row]:
        """Every row."""
        self._transformer.set_pgresult(self._result)
        rows: list[Row] = self._transformer.load_rows(0, self._result.ntuples, tuple)
        return rows


class PostgresFastPath:
    """A connection of psycopg's, used without its cursors, by one thread.

    `preamble` begins each transaction; `can_prepare` is false where the next statement may meet another server.
    """

    def __init__(self, psycopg_connection: Connection[Any], *, preamble: Sequence[str], can_prepare: bool) -> None:
        self.psycopg_connection = psycopg_connection
        self._pgconn = psycopg_connection.pgconn
        self._transformer = Transformer(psycopg_connection)
        self._measured = statements(connection.alias, connection.vendor)
        self._preamble = [Statement(sql.encode()) for sql in preamble]
        self._can_prepare = can_prepare
        self._prepared: dict[tuple[bytes, tuple[int, ...]], bytes] = {}
        self._count = 0
        self._waiting: list[Statement] = []
        self._is_in_transaction = False

    def execute(self, sql: str, values: Sequence[Any], *, is_planned_anew: bool = False) -> Answer:
        """Runs a statement, after those that wait. Raises Django's database errors, theirs too.

        The server plans what is prepared by its values a few times, and then perhaps once for all values.
        """
        self._waiting.append(self._statement(sql, values, is_prepared=not is_planned_anew))
        result = self.flush()
        assert result is not None
        return Answer(result, self._transformer)

    def queue(self, sql: str, values: Sequence[Any]) -> None:
        """Runs a statement at the latest with the transaction's COMMIT, where its error comes to light."""
        self._waiting.append(self._statement(sql, values))
        if not self._is_in_transaction:
            self.flush()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Begins before the first statement of the block, commits at its end; a rollback is left to the caller."""
        self._is_in_transaction = True
        try:
            yield
            self._commit()
        finally:
            self._waiting.clear()
            self._is_in_transaction = False

    def flush(self) -> PGresult | None:
        """Sends what waits, after BEGIN if need be; returns the last answer. Raises Django's database errors."""
        waiting, self._waiting = self._waiting, []
        if self._is_in_transaction and self._is_idle():
            waiting = self._preamble + waiting
        if not waiting:
            return None
        began = perf_counter()
        try:
            with connection.wrap_database_errors:
                result: PGresult = wait(self._exchange(waiting), self._pgconn.socket, LOOK_EVERY_SECONDS)
        except Exception as error:
            self._measured.note_error(error)
            raise
        finally:
            # One round trip for all of them: the server does not say how long each took.
            self._measured.observe(perf_counter() - began)
            self._measured.note_more(len(waiting) - 1)
        return result

    def _commit(self) -> None:
        if not self._waiting and self._is_idle():
            return
        self._waiting.append(Statement(b"COMMIT"))
        result = self.flush()
        if result is None or result.command_status != b"COMMIT":
            raise TransactionManagementError("the job went on after an error that had ended its transaction")

    def _is_idle(self) -> bool:
        return self._pgconn.transaction_status == TransactionStatus.IDLE

    def _statement(self, sql: str, values: Sequence[Any], *, is_prepared: bool = True) -> Statement:
        transformer = self._transformer
        dumped = transformer.dump_sequence(values, [PyFormat.AUTO] * len(values))
        return Statement(_numbered(sql), dumped, transformer.types or (), transformer.formats or (), is_prepared)

    def _exchange(self, statements: Sequence[Statement]) -> PQGen[PGresult]:
        """Sends the statements and takes their answers; the server skips what comes after one that fails."""
        pgconn = self._pgconn
        pgconn.enter_pipeline_mode()
        # For each answer to come, the statement that it prepares, if any.
        expected = [preparation for statement in statements for preparation in self._send(statement)]
        pgconn.pipeline_sync()
        answer: PGresult | None = None
        failure: PGresult | None = None
        try:
            yield from generators.send(pgconn)
            for preparation in expected:
                [answer] = yield from generators.fetch_many(pgconn)
                if answer.status in (ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_ABORTED):
                    failure = failure or answer
                    if preparation is not None:
                        self._prepared.pop(preparation, None)
            yield from generators.fetch_many(pgconn)
            pgconn.exit_pipeline_mode()
        except OperationalError:
            # A server that goes away says so, and then closes the connection: the first tells more.
            if failure is None:
                raise
        if failure is not None:
            raise errors.error_from_result(failure)
        assert answer is not None
        return answer

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
            self._count += 1
            name = self._prepared[key] = b"agent_router_%d" % self._count
            pgconn.send_prepare(name, sql, types)
            yield key
        pgconn.send_query_prepared(name, values, param_formats=formats)
        yield None


@lru_cache(maxsize=1024)
def _numbered(sql: str) -> bytes:
    """SQL with the server's placeholders, `$1`, in place of the driver's."""
    numbers = iter(range(1, sql.count("%s") + 1))
    return re.sub("%[s%]", lambda found: f"${next(numbers)}" if found[0] == "%s" else "%", sql).encode()
