"""SQLite's fast path returns Django's rows and raises Django's errors."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import DatabaseError, IntegrityError, OperationalError, connection, models, transaction
from prometheus_client import REGISTRY

from core.database.compiled import CompiledQuery, compiled_insert, parameter
from core.database.fast_path import current_fast_path, set_fast_path
from core.database.pool import Database
from core.database.sqlite.fast_path import SQLiteFastPath
from tests.databases import IS_POSTGRES

pytestmark = [pytest.mark.skipif(IS_POSTGRES, reason="SQLite's own"), pytest.mark.django_db]

find = CompiledQuery(lambda: Group.objects.filter(name=parameter(Group, "name")).values_list("id", "name"))
every = CompiledQuery(lambda: Group.objects.order_by("name").values_list("name"))
percent = CompiledQuery(lambda: Group.objects.annotate(sign=models.Value("100 %s")).values_list("name", "sign"))
insert = compiled_insert(lambda: Group)


@pytest.fixture
def fast_path() -> Iterator[SQLiteFastPath]:
    fast_path = SQLiteFastPath()
    set_fast_path(fast_path)
    yield fast_path
    set_fast_path(None)


@pytest.mark.parametrize("query", [every, percent])
def test_rows_equal_those_of_djangos_cursor(fast_path: SQLiteFastPath, query: CompiledQuery[Any]) -> None:
    insert.run(id=1, name="one % of %s")
    insert.queue(id=2, name="two")
    rows = query.fetch_all()
    set_fast_path(None)
    assert rows == query.fetch_all()
    assert [row[0] for row in rows] == ["one % of %s", "two"]


def test_no_row_is_none_or_an_empty_list(fast_path: SQLiteFastPath) -> None:
    assert find.fetch_one(name="nobody") is None
    assert find.fetch_all(name="nobody") == []


def test_errors_are_djangos_database_errors(fast_path: SQLiteFastPath) -> None:
    insert.run(id=1, name="one")
    with pytest.raises(IntegrityError), transaction.atomic():
        insert.run(id=1, name="another")
    with pytest.raises(OperationalError, match="no such table"):
        fast_path.execute("SELECT 1 FROM nowhere", ())


def test_error_of_a_later_row_is_a_django_error(fast_path: SQLiteFastPath) -> None:
    rows = "SELECT abs(n) FROM (SELECT 1 AS n UNION ALL SELECT -9223372036854775807 - 1)"
    with fast_path.execute(rows, ()) as answer, pytest.raises(DatabaseError, match="overflow"):
        answer.fetchall()
    # The driver fetches one row ahead.
    with fast_path.execute(rows, ()) as answer, pytest.raises(DatabaseError, match="overflow"):
        answer.fetchone()


def test_failed_job_leaves_no_rows_and_no_hooks(fast_path: SQLiteFastPath) -> None:
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
        fast_path.run_in_savepoint(work("first"))
        with pytest.raises(ValueError, match="mine"):
            fast_path.run_in_savepoint(work("second", ValueError("mine")))
        fast_path.run_in_savepoint(work("third"))
        hooks: Any = connection.run_on_commit
        for _, hook, _ in hooks:
            hook()
    assert called == ["first", "third"]
    assert every.fetch_all() == [("first",), ("third",)]


def test_job_that_ignores_a_database_error_is_rolled_back(fast_path: SQLiteFastPath) -> None:
    def job() -> None:
        Group.objects.create(id=1, name="lost")
        with pytest.raises(IntegrityError), transaction.atomic(savepoint=False):
            Group.objects.create(id=1, name="lost")

    with transaction.atomic():
        with pytest.raises(transaction.TransactionManagementError):
            fast_path.run_in_savepoint(job)
        assert not connection.needs_rollback
    assert every.fetch_all() == []


@pytest.mark.django_db(transaction=True)
def test_fast_path_survives_a_reconnect(run: Callable[[Callable[[Database], Any]], Any]) -> None:
    def ask() -> tuple[Any, Any]:
        connection.close()
        return current_fast_path(), find.fetch_one(name="nobody")

    async def test(database: Database) -> None:
        fast_path, found = await database.read(ask)
        assert isinstance(fast_path, SQLiteFastPath)
        assert found is None
        assert isinstance(await database.write(current_fast_path), SQLiteFastPath)

    run(test)


@pytest.mark.django_db(transaction=True)
def test_tracing_and_debug_see_all_statements(run: Callable[[Callable[[Database], Any]], Any], settings: Any) -> None:
    settings.OTEL_EXPORTER_OTLP_ENDPOINT = "http://127.0.0.1:4317"

    async def test(database: Database) -> None:
        assert await database.read(current_fast_path) is None
        assert await database.write(current_fast_path) is None

    run(test)


def test_statements_are_counted_and_timed(fast_path: SQLiteFastPath) -> None:
    labels = {"alias": "default", "vendor": "sqlite"}

    def value(name: str, **more: str) -> float:
        return REGISTRY.get_sample_value(name, labels | more) or 0

    def values() -> tuple[float, ...]:
        errors = value("django_db_errors_total", type="OperationalError")
        return value("django_db_execute_total"), value("django_db_query_duration_seconds_count"), errors

    before = values()
    find.fetch_one(name="nobody")
    with pytest.raises(OperationalError):
        fast_path.execute("SELECT 1 FROM nowhere", ())
    assert [now - then for now, then in zip(values(), before, strict=True)] == [2, 2, 1]
