"""Compiled statements and savepoints on SQLite without Django's cursors.

They run on Django's connection, in Django's transaction. docs/decisions/0006-database-fast-paths.md
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Self

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from core.database.backends.sqlite3.base import with_question_marks
from core.database.metrics import statements
from core.database.transactions import check_not_doomed, mark_hooks_robust


class ResultCursor(sqlite3.Cursor):
    """The result of a statement. Reading it raises Django's database errors."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fetchone(self) -> Any:
        return _with_django_errors(super().fetchone)

    def fetchall(self) -> list[Any]:
        return _with_django_errors(super().fetchall)


def _with_django_errors[T](run: Callable[..., T], *args: Any) -> T:
    try:
        return run(*args)
    except sqlite3.Error:
        with connection.wrap_database_errors:
            raise


class SQLiteFastPath:
    """The fast path of one thread. Django may close the thread's connection and reconnect."""

    def __init__(self) -> None:
        # Looked up once: `connection` would look it up five times per statement.
        self._django: BaseDatabaseWrapper = connections[DEFAULT_DB_ALIAS]
        self._statements = statements(self._django.alias, self._django.vendor)

    @property
    def sqlite_connection(self) -> sqlite3.Connection:
        if self._django.connection is None:
            self._django.ensure_connection()
        found: sqlite3.Connection = self._django.connection
        return found

    def execute(self, sql: str, values: Sequence[Any], *, force_custom_plan: bool = False) -> ResultCursor:
        """Run a statement. `force_custom_plan` changes nothing: SQLite keeps no generic plans."""
        cursor = self.sqlite_connection.cursor(ResultCursor)
        _with_django_errors(self._statements.measure, cursor.execute, with_question_marks(sql), values)
        return cursor

    def queue(self, sql: str, values: Sequence[Any]) -> None:
        """Run a statement at once: SQLite has no round trips to save."""
        self.execute(sql, values).close()

    def run_in_savepoint[T](self, job: Callable[[], T]) -> T:
        """Run a job in a savepoint of the open transaction. If the job raises, its changes are rolled back.

        If SQLite has ended the whole transaction, Django's `needs_rollback` stays set.
        """
        sqlite_connection, hooks = self.sqlite_connection, len(self._django.run_on_commit)
        self._execute_unmeasured("SAVEPOINT job")
        try:
            result = job()
            check_not_doomed()
        except BaseException:
            self._django.needs_rollback = not sqlite_connection.in_transaction
            if sqlite_connection.in_transaction:
                self._execute_unmeasured("ROLLBACK TO job")
                self._execute_unmeasured("RELEASE job")
                del self._django.run_on_commit[hooks:]
            raise
        self._execute_unmeasured("RELEASE job")
        mark_hooks_robust()
        return result

    def _execute_unmeasured(self, sql: str) -> None:
        _with_django_errors(self.sqlite_connection.execute, sql).close()
