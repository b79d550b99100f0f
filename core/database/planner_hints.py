"""Expressions and subqueries that keep the database's planner from a bad plan."""

from typing import Any

from django.db import models
from django.db.models import Expression
from django.db.models.sql import Query
from django.db.models.sql.datastructures import BaseTable


class Unindexed(models.Func):
    """A column whose index SQLite does not use (https://www.sqlite.org/optoverview.html#uplus).

    A list should walk the index of its order. SQLite has no statistics and prefers the index of a filter.
    """

    arity = 1
    template = "%(expressions)s"

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="+%(expressions)s", **context)


class Unsorted(Unindexed):
    """A column whose index neither database uses to sort: for few rows, PostgreSQL would walk most of the index."""

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="COALESCE(%(expressions)s, %(expressions)s)", **context)


def select_from[Q: models.QuerySet[Any, Any]](rows: Q) -> Q:
    """Return a queryset over the rows of a subquery, which selects whole rows. For PostgreSQL.

    If the subquery has a LIMIT, the planner must run it first and filter its rows afterwards.
    """
    outer: Any = type(rows)(rows.model)
    table = outer.query.get_initial_alias()
    columns = [field.column for field in rows.model._meta.concrete_fields]
    outer.query.alias_map[table] = _Subquery(rows.query, table, columns)
    return outer  # type: ignore[no-any-return]


class Annotated(Expression):
    """An integer annotation of the rows in `select_from`, for the outer queryset."""

    output_field = models.IntegerField()

    def __init__(self, rows: models.QuerySet[Any, Any], name: str) -> None:
        super().__init__()
        self._table, self._name = rows.model._meta.db_table, name

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        return f"{compiler.quote_name(self._table)}.{compiler.quote_name(self._name)}", ()


class _Subquery(BaseTable):
    """A subquery in place of a table. It selects all columns of the table, and possibly annotations."""

    def __init__(self, query: Query, table: str, columns: list[str]) -> None:
        super().__init__(table, table)
        self._query, self._columns = query, columns

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        sql, params = self._query.get_compiler(connection=connection).as_sql()
        # Rename the columns: the query may have given them aliases.
        names = ", ".join(map(compiler.quote_name, self._columns))
        return f"({sql}) {compiler.quote_name(self.table_alias)} ({names})", params
