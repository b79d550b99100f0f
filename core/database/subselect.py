"""Queries of what another query gives, as if it were the table. For PostgreSQL."""

from typing import Any

from django.db import models
from django.db.models import Expression
from django.db.models.sql import Query
from django.db.models.sql.datastructures import BaseTable


class _Subselect(BaseTable):
    """What stands in the place of a table: a query of all its columns, and maybe of more."""

    def __init__(self, query: Query, table: str, columns: list[str]) -> None:
        super().__init__(table, table)
        self._query, self._columns = query, columns

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        sql, params = self._query.get_compiler(connection=connection).as_sql()
        # Whoever selects from it knows the columns by these names, whatever the query calls them.
        names = ", ".join(map(compiler.quote_name, self._columns))
        return f"({sql}) {compiler.quote_name(self.table_alias)} ({names})", params


def select_from[Q: models.QuerySet[Any, Any]](rows: Q) -> Q:
    """A queryset of what `rows` gives, which are whole rows.

    Where these are limited, the planner has no choice but to come by them first, in their order, and to look at each
    for what else is asked.
    """
    outer: Any = type(rows)(rows.model)
    table = outer.query.get_initial_alias()
    columns = [field.column for field in rows.model._meta.concrete_fields]
    outer.query.alias_map[table] = _Subselect(rows.query, table, columns)
    return outer  # type: ignore[no-any-return]


class Annotated(Expression):
    """A whole number that the rows of a subselect are annotated with, for the query that selects from it."""

    output_field = models.IntegerField()

    def __init__(self, rows: models.QuerySet[Any, Any], name: str) -> None:
        super().__init__()
        self._table, self._name = rows.model._meta.db_table, name

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        return f"{compiler.quote_name(self._table)}.{compiler.quote_name(self._name)}", ()
