"""Compiled statements and savepoints on SQLite, past Django's cursors.

A cursor of Django's costs 16 µs a statement, a savepoint by `atomic` 20: more than SQLite needs for the work. What
goes this way is compiled by the ORM all the same, and runs on Django's own connection, in Django's transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, Self

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from core.database.backends.sqlite3.base import with_question_marks
from core.database.metrics import statements
from core.database.transactions import mark_robust, refuse_if_undone


class Answer(sqlite3.Cursor):
    """What a statement gave. Reading it raises Django's database errors."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fetchone(self) -> Any:
        """The next row, or None."""
        try:
            return super().fetchone()
        except sqlite3.Error:
            with connection.wrap_database_errors:
                raise

    def fetchall(self) -> list[Any]:
        """Every row that is left."""
        try:
            return super().fetchall()
        except sqlite3.Error:
            with connection.wrap_database_errors:
                raise


class SQLiteFastPath:
    """The way past Django's cursors for one thread, whose connection may be closed and made anew."""

    def __init__(self) -> None:
        # `connection` looks this up each time, five times for a statement.
        self._django: BaseDatabaseWrapper = connections[DEFAULT_DB_ALIAS]
        self._measured = statements(self._django.alias, self._django.vendor)

    @property
    def sqlite_connection(self) -> sqlite3.Connection:
        """The open connection. Raises Django's database errors if there is none to be had."""
        if self._django.connection is None:
            self._django.ensure_connection()
        found: sqlite3.Connection = self._django.connection
        return found

    def execute(self, sql: str, values: Sequence[Any], *, is_planned_anew: bool = False) -> Answer:
        """Runs a statement with Django's placeholders. Raises Django's database errors.

        SQLite plans by the values where it has statistics, and never by those of a time before.
        """
        sqlite_connection, began = self.sqlite_connection, perf_counter()
        try:
            return sqlite_connection.cursor(Answer).execute(with_question_marks(sql), values)
        except sqlite3.Error as error:
            self._measured.note_error(error)
            with self._django.wrap_database_errors:
                raise
        finally:
            self._measured.observe(perf_counter() - began)

    def queue(self, sql: str, values: Sequence[Any]) -> None:
        """Runs a statement; on SQLite nothing is gained by waiting."""
        self.execute(sql, values).close()

    def run_in_savepoint[T](self, job: Callable[[], T]) -> T:
        """Runs a job within the transaction that is open; if it raises, nothing of it remains.

        Django's `needs_rollback` is left set if SQLite has ended the whole transaction.
        """
        sqlite_connection, hooks = self.sqlite_connection, len(self._django.run_on_commit)
        self._mark("SAVEPOINT job")
        try:
            result = job()
            refuse_if_undone()
        except BaseException:
            self._django.needs_rollback = not sqlite_connection.in_transaction
            if sqlite_connection.in_transaction:
                self._mark("ROLLBACK TO job")
                self._mark("RELEASE job")
                del self._django.run_on_commit[hooks:]
            raise
        self._mark("RELEASE job")
        mark_robust()
        return result

    def _mark(self, sql: str) -> None:
        """Runs a statement about the transaction, which is not among those that are measured."""
        try:
            self.sqlite_connection.execute(sql).close()
        except sqlite3.Error:
            with self._django.wrap_database_errors:
                raise
