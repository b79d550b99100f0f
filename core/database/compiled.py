"""Statements that the ORM compiles once per process. Every later call only fills in the parameters.

    find = CompiledQuery(lambda: Item.objects.filter(id=parameter(Item, "id")).values_list("id", "name"))
    name = find.fetch_one(id=some_uuid).name

Reasons and figures: docs/decisions/0002-compiled-statements.md
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
type MakeQuerySet = Callable[[], models.QuerySet[Any, Any]]


class Parameter(Expression):
    """A value that the caller passes when the statement runs; `field` converts it for the database driver."""

    def __init__(self, name: str, field: models.Field[Any, Any]) -> None:
        super().__init__(output_field=field)
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        return "%s", (self,)

    def convert(self, value: Any) -> Any:
        return self.output_field.get_db_prep_value(value, connection)


class Compiled:
    """SQL with parameters; `build` returns both when the statement first runs.

    With `force_custom_plan`, PostgreSQL plans the statement for its values on every execution.
    """

    def __init__(self, build: Callable[[], tuple[str, Sequence[Any]]], *, force_custom_plan: bool = False) -> None:
        self._build, self._force_custom_plan = build, force_custom_plan
        self._sql = ""
        self._template: list[Any] = []
        self._parameters: list[tuple[int, Parameter]] = []

    def _compile(self) -> None:
        sql, params = self._build()
        self._template = list(params)
        self._parameters = [(index, param) for index, param in enumerate(params) if isinstance(param, Parameter)]
        # Assigned last: other threads check this.
        self._sql = sql

    def execute(self, values: dict[str, Any]) -> Any:
        """Run the statement on this thread's connection and return its cursor. Raises Django's database errors."""
        params = self._bind(values)
        if (fast_path := current_fast_path()) is not None:
            return fast_path.execute(self._sql, params, force_custom_plan=self._force_custom_plan)
        cursor = connection.cursor()
        cursor.execute(self._sql, params)
        return cursor

    def _bind(self, values: dict[str, Any]) -> list[Any]:
        if not self._sql:
            self._compile()
        params = self._template.copy()
        for index, parameter in self._parameters:
            params[index] = parameter.convert(values[parameter.name])
        return params


class CompiledQuery[R: NamedTuple](Compiled):
    """A SELECT whose rows are named tuples: of the class `row`, or with the names of the queryset's `values_list`."""

    @overload
    def __init__(
        self: CompiledQuery[Any], queryset: MakeQuerySet, *, row: None = None, force_custom_plan: bool = False
    ) -> None: ...

    @overload
    def __init__(self, queryset: MakeQuerySet, *, row: type[R], force_custom_plan: bool = False) -> None: ...

    def __init__(self, queryset: MakeQuerySet, *, row: type[R] | None = None, force_custom_plan: bool = False) -> None:
        super().__init__(self._build_select, force_custom_plan=force_custom_plan)
        self._queryset, self._row = queryset, row
        self._make_row: Callable[[Row], R]
        self._compiler: Any = None
        self._converters: dict[int, Any] = {}

    def _build_select(self) -> tuple[str, Sequence[Any]]:
        query = self._queryset().query
        if query.selected is None:
            raise ValueError("a compiled query names its columns with values_list")
        compiler = query.get_compiler(connection=connection)
        sql, params = compiler.as_sql()
        if compiler.has_extra_select:
            raise ValueError("DISTINCT rows ordered by other columns would contain these columns, too")
        names = tuple(query.selected)
        row: Any = self._row or create_namedtuple_class(*names)
        if len(row._fields) != len(names):
            raise ValueError(f"{row.__name__} has {len(row._fields)} fields, the query {len(names)} columns")
        self._make_row = row._make
        # On SQLite, UUIDs and times need a conversion.
        self._converters = compiler.get_converters([column[0] for column in compiler.select])
        self._compiler = compiler
        return sql, params

    def fetch_one(self, **values: Any) -> R | None:
        with self.execute(values) as cursor:
            row = cursor.fetchone()
        return None if row is None else self._named([row])[0]

    def fetch_all(self, **values: Any) -> list[R]:
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
        """Return the number of rows that the statement inserted, changed or deleted."""
        with self.execute(values) as cursor:
            count: int = cursor.rowcount
        return count

    def queue(self, **values: Any) -> None:
        """Send the statement with a later one or with the COMMIT, which then raises its errors."""
        params = self._bind(values)
        if (fast_path := current_fast_path()) is not None:
            fast_path.queue(self._sql, params)
        else:
            with connection.cursor() as cursor:
                cursor.execute(self._sql, params)


def parameter(model: type[models.Model], name: str, *, given_as: str = "") -> Parameter:
    """Return a parameter of a model field's type, named like its attribute (`owner_id` for `owner`) or `given_as`."""
    field = model._meta.get_field(name)
    assert isinstance(field, models.Field)
    return Parameter(given_as or field.attname, field)


def compiled_insert(model: Callable[[], type[models.Model]], *, ignore_conflicts: bool = False) -> CompiledStatement:
    """Return an INSERT of one row with all fields; the parameters are their attribute names (`owner_id`)."""

    def build() -> tuple[str, Sequence[Any]]:
        fields = model()._meta.concrete_fields
        row = model()(**{field.attname: parameter(model(), field.name) for field in fields})
        query = InsertQuery(model(), on_conflict=OnConflict.IGNORE if ignore_conflicts else None)
        query.insert_values(fields, [row])
        [(sql, params)] = query.get_compiler(connection=connection).as_sql()
        return sql, params

    return CompiledStatement(build)


def compiled_update(queryset: MakeQuerySet, *names: str) -> CompiledStatement:
    """Return an UPDATE of these fields in the queryset's rows; each field is a parameter."""

    def build() -> tuple[str, Sequence[Any]]:
        rows = queryset()
        query: Any = rows.query.chain(UpdateQuery)
        query.add_update_values({name: parameter(rows.model, name) for name in names})
        sql, params = query.get_compiler(connection=connection).as_sql()
        return sql, params

    return CompiledStatement(build)


def compiled_delete(queryset: MakeQuerySet) -> CompiledStatement:
    """Return a DELETE of the queryset's rows. Django's cascades do not run."""

    def build() -> tuple[str, Sequence[Any]]:
        sql, params = queryset().query.chain(DeleteQuery).get_compiler(connection=connection).as_sql()
        return sql, params

    return CompiledStatement(build)
