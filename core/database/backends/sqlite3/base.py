"""django-prometheus' SQLite backend, with faster cursors and the same metrics.

django-prometheus creates a cursor class per cursor and looks up four labelled series per statement: 20 µs more, where
SQLite needs 10 µs for the statement. This cursor costs 2 µs and caches the translation of placeholders.
"""

from collections.abc import Iterable
from functools import cache, lru_cache
from time import perf_counter
from typing import Any

from django.db.backends.sqlite3.base import FORMAT_QMARK_REGEX, SQLiteCursorWrapper
from django_prometheus.db import execute_many_total
from django_prometheus.db.backends.sqlite3 import base

from core.database.metrics import CountedConnection, statements


class DatabaseWrapper(CountedConnection, base.DatabaseWrapper):  # type: ignore[misc]
    """The backend that Django loads from this module."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._cursor_class = _measured_cursor(self.alias, self.vendor)

    def create_cursor(self, name: str | None = None) -> Any:
        """Return a cursor that counts and times its statements."""
        return self.connection.cursor(factory=self._cursor_class)


@lru_cache(maxsize=1024)
def with_question_marks(query: str) -> str:
    """Replace Django's placeholders (%s) by SQLite's (?)."""
    return FORMAT_QMARK_REGEX.sub("?", query).replace("%%", "%")


@cache
def _measured_cursor(alias: str, vendor: str) -> type[SQLiteCursorWrapper]:
    measured = statements(alias, vendor)
    observe = measured.observe
    count_many = execute_many_total.labels(alias, vendor).inc

    class MeasuredCursor(SQLiteCursorWrapper):
        def execute(self, query: str, params: Any = None) -> Any:
            began = perf_counter()
            try:
                return super().execute(query, params)
            except Exception as error:
                measured.note_error(error)
                raise
            finally:
                observe(perf_counter() - began)

        def executemany(self, query: str, param_list: Iterable[Any]) -> Any:
            rows = list(param_list)
            began = perf_counter()
            try:
                return super().executemany(query, rows)
            except Exception as error:
                measured.note_error(error)
                raise
            finally:
                observe(perf_counter() - began)
                measured.note_more(max(len(rows) - 1, 0))
                count_many(len(rows))

        def convert_query(self, query: str, *, param_names: list[str] | None = None) -> str:
            if param_names is None:
                return with_question_marks(query)
            converted: str = super().convert_query(query, param_names=param_names)
            return converted

    return MeasuredCursor
