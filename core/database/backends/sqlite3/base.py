"""django-prometheus' SQLite backend, with the same metrics at a tenth of the cost (2 µs per statement)."""

from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any

from django.db.backends.sqlite3.base import FORMAT_QMARK_REGEX, SQLiteCursorWrapper
from django_prometheus.db import execute_many_total
from django_prometheus.db.backends.sqlite3 import base

from core.database.metrics import CountedConnection, statements


class DatabaseWrapper(CountedConnection, base.DatabaseWrapper):  # type: ignore[misc]
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._cursor_class = _measured_cursor(self.alias, self.vendor)

    def create_cursor(self, name: str | None = None) -> Any:
        return self.connection.cursor(factory=self._cursor_class)


@lru_cache(maxsize=1024)
def with_question_marks(query: str) -> str:
    """Replace Django's placeholders (%s) by SQLite's (?)."""
    return FORMAT_QMARK_REGEX.sub("?", query).replace("%%", "%")


@cache
def _measured_cursor(alias: str, vendor: str) -> type[SQLiteCursorWrapper]:
    measure = statements(alias, vendor).measure
    count_many = execute_many_total.labels(alias, vendor).inc

    class MeasuredCursor(SQLiteCursorWrapper):
        def execute(self, query: str, params: Any = None) -> Any:
            return measure(super().execute, query, params)

        def executemany(self, query: str, param_list: Iterable[Any]) -> Any:
            rows = list(param_list)
            count_many(len(rows))
            return measure(super().executemany, query, rows, count=max(len(rows), 1))

        def convert_query(self, query: str, *, param_names: list[str] | None = None) -> str:
            if param_names is None:
                return with_question_marks(query)
            converted: str = super().convert_query(query, param_names=param_names)
            return converted

    return MeasuredCursor
