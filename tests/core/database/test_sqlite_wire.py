"""SQLite's wire: Django's own answers and errors, for less."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import DatabaseError, IntegrityError, OperationalError, connection, models, transaction
from prometheus_client import REGISTRY

from core.database import metrics
from core.database.compiled import CompiledQuery, compiled_insert, parameter
from core.database.current_wire import current_wire, set_current_wire
from core.database.pool import Database
from core.database.sqlite_wire import SQLiteWire
from tests.databases import IS_POSTGRES

pytestmark = [pytest.mark.skipif(IS_POSTGRES, reason="SQLite's own"), pytest.mark.django_db]

find = CompiledQuery(lambda: Group.objects.filter(name=parameter(Group, "name")).values_list("id", "name"))
every = CompiledQuery(lambda: Group.objects.order_by("name").values_list("name"))
percent = CompiledQuery(lambda: Group.objects.annotate(sign=models.Value("100 %s")).values_list("name", "sign"))
insert = compiled_insert(lambda: Group)


@pytest.fixture
def wire() -> Iterator[SQLiteWire]:
    wire = SQLiteWire()
    set_current_wire(wire)
    yield wire
    set_current_wire(None)


@pytest.mark.parametrize("query", [every, percent])
def test_rows_are_those_of_djangos_cursor(wire: SQLiteWire, query: CompiledQuery) -> None:
    insert.run(id=1, name="one % of %s")
    insert.queue(id=2, name="two")
    rows = query.fetch_all()
    set_current_wire(None)
    assert rows == query.fetch_all()
    assert [row[0] for row in rows] == ["one % of %s", "two"]


def test_nothing_is_none_or_an_empty_list(wire: SQLiteWire) -> None:
    assert find.fetch_one(name="nobody") is None
    assert find.fetch_all(name="nobody") == []


def test_errors_are_djangos(wire: SQLiteWire) -> None:
    insert.run(id=1, name="one")
    with pytest.raises(IntegrityError), transaction.atomic():
        insert.run(id=1, name="another")
    with pytest.raises(OperationalError, match="no such table"):
        wire.execute("SELECT 1 FROM nowhere", ())


def test_error_of_a_later_row_is_djangos_too(wire: SQLiteWire) -> None:
    rows = "SELECT abs(n) FROM (SELECT 1 AS n UNION ALL SELECT -9223372036854775807 - 1)"
    with wire.execute(rows, ()) as answer, pytest.raises(DatabaseError, match="overflow"):
        answer.fetchall()
    # The driver fetches one row ahead.
    with wire.execute(rows, ()) as answer, pytest.raises(DatabaseError, match="overflow"):
        answer.fetchone()


def test_job_that_fails_leaves_neither_rows_nor_hooks(wire: SQLiteWire) -> None:
    called: list[str] = []

    def work(name: str, error: Exception | None = None) -> Callable[[], None]:
        def job() -> None:
            Group.objects.create(name=name)
            with transaction.atomic():
                transaction.on_commit(lambda: called.append(name))
            if error:
                raise error

        return job

    with transaction.atomic():
        wire.run_in_savepoint(work("first"))
        with pytest.raises(ValueError, match="mine"):
            wire.run_in_savepoint(work("second", ValueError("mine")))
        wire.run_in_savepoint(work("third"))
        hooks: Any = connection.run_on_commit
        for _, hook, _ in hooks:
            hook()
    assert called == ["first", "third"]
    assert every.fetch_all() == [("first",), ("third",)]


def test_job_that_goes_on_after_a_database_error_is_undone(wire: SQLiteWire) -> None:
    def job() -> None:
        Group.objects.create(id=1, name="lost")
        with pytest.raises(IntegrityError), transaction.atomic(savepoint=False):
            Group.objects.create(id=1, name="lost")

    with transaction.atomic():
        with pytest.raises(transaction.TransactionManagementError):
            wire.run_in_savepoint(job)
        assert not connection.needs_rollback
    assert every.fetch_all() == []


@pytest.mark.django_db(transaction=True)
def test_threads_have_one_and_keep_it_over_a_new_connection(run: Callable[[Callable[[Database], Any]], Any]) -> None:
    def ask() -> tuple[Any, Any]:
        connection.close()
        return current_wire(), find.fetch_one(name="nobody")

    async def test(database: Database) -> None:
        wire, found = await database.read(ask)
        assert isinstance(wire, SQLiteWire)
        assert found is None
        assert isinstance(await database.write(current_wire), SQLiteWire)

    run(test)


@pytest.mark.django_db(transaction=True)
def test_who_watches_statements_sees_them_all(run: Callable[[Callable[[Database], Any]], Any], settings: Any) -> None:
    settings.OTEL_EXPORTER_OTLP_ENDPOINT = "http://127.0.0.1:4317"

    async def test(database: Database) -> None:
        assert await database.read(current_wire) is None
        assert await database.write(current_wire) is None

    run(test)


def test_statements_are_counted_and_timed(wire: SQLiteWire) -> None:
    labels = {"alias": "default", "vendor": "sqlite"}

    def value(name: str, **more: str) -> float:
        metrics.flush()
        return REGISTRY.get_sample_value(name, labels | more) or 0

    def values() -> tuple[float, ...]:
        errors = value("django_db_errors_total", type="OperationalError")
        return value("django_db_execute_total"), value("django_db_query_duration_seconds_count"), errors

    before = values()
    find.fetch_one(name="nobody")
    with pytest.raises(OperationalError):
        wire.execute("SELECT 1 FROM nowhere", ())
    assert [now - then for now, then in zip(values(), before, strict=True)] == [2, 2, 1]
