"""Statements that the ORM compiles once per process; every later call fills in parameters only.

    find = CompiledQuery(lambda: Item.objects.filter(id=parameter(Item, "id")).values_list("id", "name"))
    row = find.fetch_one(id=some_uuid)
    row.name

Rows are named tuples: read their values by name. Why statements are compiled, with figures:
docs/decisions/0002-compiled-statements.md
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, overload

from django.db import connection, models
from django.db.models.constants import OnConflict
from django.db.models.expressions import Expression
from django.db.models.sql import DeleteQuery, InsertQuery, UpdateQuery
from django.db.models.utils import create_namedtuple_class

from core.database.fast_path import current_fast_path

type Row = tuple[Any, ...]
type Build = Callable[[], tuple[str, Sequence[Any]]]
type BuildQuerySet = Callable[[], models.QuerySet[Any, Any]]


class Parameter(Expression):
    """A value that is given when the query runs. `field` says how the database wants it."""

    def __init__(self, name: str, field: models.Field[Any, Any]) -> None:
        super().__init__(output_field=field)
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        return "%s", (self,)

    def convert(self, value: Any) -> Any:
        """The value in the form in which the database driver takes it."""
        return self.output_field.get_db_prep_value(value, connection)


class Compiled:
    """SQL with places for parameters, made by `build` at the first use in the process.

    `is_planned_anew` if PostgreSQL is to plan it by its values each time. Otherwise it may settle for one plan.
    """

    def __init__(self, build: Callable[[], tuple[str, Sequence[Any]]], *, is_planned_anew: bool = False) -> None:
        self._build, self._is_planned_anew = build, is_planned_anew
        self._sql = ""
        self._fixed: list[Any] = []
        self._places: list[tuple[int, Parameter]] = []

    def _compile(self) -> None:
        sql, params = self._build()
        self._fixed = list(params)
        self._places = [(n, param) for n, param in enumerate(params) if isinstance(param, Parameter)]
        self._sql = sql

    def execute(self, values: dict[str, Any]) -> Any:
        """Runs the statement on this thread's connection and returns its cursor.

        Raises KeyError for a parameter without a value, and Django's database errors.
        """
        params = self.params(values)
        if (fast_path := current_fast_path()) is not None:
            return fast_path.execute(self._sql, params, is_planned_anew=self._is_planned_anew)
        cursor = connection.cursor()
        cursor.execute(self._sql, params)
        return cursor

    def params(self, values: dict[str, Any]) -> list[Any]:
        """What the statement is run with. Raises KeyError for a parameter without a value."""
        if not self._sql:
            self._compile()
        params = self._fixed.copy()
        for place, parameter in self._places:
            params[place] = parameter.convert(values[parameter.name])
        return params


class CompiledQuery[R: NamedTuple](Compiled):
    """A SELECT whose rows are named tuples.

    Rows have the names and the order of the queryset's `values_list`. If the caller passes its own named tuple class
    as `row`, rows are instances of that class; it must have as many fields as the queryset has columns.
    """

    @overload
    def __init__(
        self: CompiledQuery[Any], queryset: BuildQuerySet, *, row: None = None, is_planned_anew: bool = False
    ) -> None: ...

    @overload
    def __init__(self, queryset: BuildQuerySet, *, row: type[R], is_planned_anew: bool = False) -> None: ...

    def __init__(self, queryset: BuildQuerySet, *, row: type[R] | None = None, is_planned_anew: bool = False) -> None:
        super().__init__(self._build_select, is_planned_anew=is_planned_anew)
        self._queryset, self._row = queryset, row
        self._make_row: Callable[[Row], R]
        self._compiler: Any = None
        self._converters: dict[int, Any] = {}

    def _build_select(self) -> tuple[str, Sequence[Any]]:
        query = self._queryset().query
        compiler = query.get_compiler(connection=connection)
        sql, params = compiler.as_sql()
        if compiler.has_extra_select:
            raise ValueError("DISTINCT rows ordered by other columns would contain these columns, too")
        names = query.selected or ()
        row: Any = self._row or create_namedtuple_class(*names)
        if len(row._fields) != len(names):
            raise ValueError(f"{row.__name__} has {len(row._fields)} fields, the query {len(names)} columns")
        self._make_row = row._make
        # Text and numbers need no conversion; UUIDs and times do on SQLite.
        self._converters = compiler.get_converters([column[0] for column in compiler.select])
        self._compiler = compiler
        return sql, params

    def fetch_one(self, **values: Any) -> R | None:
        """Return the first row, or None."""
        with self.execute(values) as cursor:
            row = cursor.fetchone()
        return None if row is None else self._named([row])[0]

    def fetch_all(self, **values: Any) -> list[R]:
        """Return every row."""
        with self.execute(values) as cursor:
            rows = cursor.fetchall()
        return self._named(rows)

    def _named(self, rows: list[Row]) -> list[R]:
        if self._converters:
            rows = self._compiler.apply_converters(rows, self._converters)
        return list(map(self._make_row, rows))


class CompiledStatement(Compiled):
    """An INSERT, UPDATE or DELETE."""

    def run(self, **values: Any) -> int:
        """Runs it; returns how many rows it touched."""
        with self.execute(values) as cursor:
            count: int = cursor.rowcount
        return count

    def queue(self, **values: Any) -> None:
        """Runs it at the latest when the transaction commits, in the same round trip.

        Its errors may come to light only there.
        """
        params = self.params(values)
        if (fast_path := current_fast_path()) is not None:
            fast_path.queue(self._sql, params)
        else:
            with connection.cursor() as cursor:
                cursor.execute(self._sql, params)


def parameter(model: type[models.Model], name: str, *, given_as: str = "") -> Parameter:
    """The parameter for a field of a model, given as the field's attribute (`owner_id` for `owner`) or another name."""
    field = model._meta.get_field(name)
    assert isinstance(field, models.Field)
    return Parameter(given_as or field.attname, field)


def compiled_insert(model: Callable[[], type[models.Model]], *, ignore_conflicts: bool = False) -> CompiledStatement:
    """INSERT of one row with all its fields; the parameters are their attribute names (`owner_id`)."""

    def build() -> tuple[str, Sequence[Any]]:
        fields = model()._meta.concrete_fields
        row = model()(**{field.attname: parameter(model(), field.name) for field in fields})
        query = InsertQuery(model(), on_conflict=OnConflict.IGNORE if ignore_conflicts else None)
        query.insert_values(fields, [row])
        [(sql, params)] = query.get_compiler(connection=connection).as_sql()
        return sql, params

    return CompiledStatement(build)


def compiled_update(queryset: Callable[[], models.QuerySet[Any, Any]], *names: str) -> CompiledStatement:
    """UPDATE of these fields of a queryset's rows; each is a parameter."""

    def build() -> tuple[str, Sequence[Any]]:
        rows = queryset()
        query: Any = rows.query.chain(UpdateQuery)
        query.add_update_values({name: parameter(rows.model, name) for name in names})
        sql, params = query.get_compiler(connection=connection).as_sql()
        return sql, params

    return CompiledStatement(build)


def compiled_delete(queryset: Callable[[], models.QuerySet[Any, Any]]) -> CompiledStatement:
    """DELETE of a queryset's rows, without Django's cascades."""

    def build() -> tuple[str, Sequence[Any]]:
        sql, params = queryset().query.chain(DeleteQuery).get_compiler(connection=connection).as_sql()
        return sql, params

    return CompiledStatement(build)
