"""Database metrics: django-prometheus' names, for the ORM and for compiled statements."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, connection
from prometheus_client import REGISTRY

from core.database import metrics
from core.database.compiled import CompiledQuery, parameter
from core.database.pool import Database
from core.models import CacheEpoch
from tests.core.database.conftest import Test

STATEMENTS, MANY = "django_db_execute_total", "django_db_execute_many_total"
SECONDS, ERRORS = "django_db_query_duration_seconds_count", "django_db_errors_total"
NEW = "django_db_new_connections_total"
FIND = CompiledQuery(lambda: CacheEpoch.objects.filter(pk=parameter(CacheEpoch, "id", given_as="pk")).values_list("pk"))


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, {"alias": "default", "vendor": connection.vendor, **labels}) or 0


def grown(name: str, act: Callable[[], Any], **labels: str) -> float:
    before = value(name, **labels)
    act()
    return value(name, **labels) - before


def execute(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.mark.django_db
@pytest.mark.parametrize("act", [lambda: execute("SELECT 1"), lambda: FIND.fetch_one(pk=1), CacheEpoch.objects.first])
def test_statements_are_counted_and_timed_by_each_way(act: Callable[[], Any]) -> None:
    act()
    assert grown(STATEMENTS, act) == grown(SECONDS, act) == 1


@pytest.mark.django_db
def test_rows_of_executemany_are_statements() -> None:
    def act() -> None:
        with connection.cursor() as cursor:
            cursor.execute("CREATE TEMPORARY TABLE numbers (n integer)")
            cursor.executemany("INSERT INTO numbers VALUES (%s)", [(1,), (2,), (3,)])
            cursor.executemany("INSERT INTO numbers VALUES (%s)", [])
            cursor.execute("SELECT count(*) FROM numbers")
            assert cursor.fetchone() == (3,)
            cursor.execute("DROP TABLE numbers")

    assert grown(MANY, act) == 3
    assert grown(STATEMENTS, act) >= 6


@pytest.mark.django_db(transaction=True)
def test_errors_are_counted_by_class() -> None:
    def act() -> None:
        with pytest.raises(DatabaseError):
            execute("SELECT nonsense")

    name = "OperationalError" if connection.vendor == "sqlite" else "UndefinedColumn"
    assert grown(ERRORS, act, type=name) == 1


def test_both_kinds_of_placeholders_work(db: None) -> None:
    with connection.cursor() as cursor:
        for parameters in (("50%",), {"one": "50%"}):
            name = "%(one)s" if isinstance(parameters, dict) else "%s"
            cursor.execute(f"SELECT {name}, '100%%'", parameters)
            assert cursor.fetchone() == ("50%", "100%")
        cursor.execute("SELECT '100%'")
        assert cursor.fetchone() == ("100%",)


@pytest.mark.django_db(transaction=True)
def test_connections_are_counted() -> None:
    connection.close()
    before, opened = metrics.CONNECTIONS._value.get(), value(NEW)
    connection.ensure_connection()
    assert (metrics.CONNECTIONS._value.get() - before, value(NEW) - opened) == (1, 1)
    connection.close()
    connection.close()
    assert metrics.CONNECTIONS._value.get() == before


def test_pool_measures_how_long_jobs_waited(run: Callable[[Test], Any]) -> None:
    def read() -> dict[str, float]:
        names = ("db_pool_wait_seconds_count", "db_pool_wait_seconds_sum")
        return {name: REGISTRY.get_sample_value(name) or 0 for name in names}

    async def test(database: Database) -> None:
        before = read()
        entered, is_open = threading.Event(), threading.Event()

        def hold() -> None:
            entered.set()
            assert is_open.wait(30)

        holding = asyncio.create_task(database.write(hold))
        assert await asyncio.to_thread(entered.wait, 30)
        waiting = [asyncio.create_task(database.write(lambda: None)) for _ in range(50)]
        await asyncio.sleep(0.3)
        is_open.set()
        await asyncio.gather(holding, *waiting)
        after = read()
        assert after["db_pool_wait_seconds_count"] - before["db_pool_wait_seconds_count"] == 51
        if connection.vendor == "sqlite":
            # One thread writes, so all other jobs waited for the blocked job.
            assert after["db_pool_wait_seconds_sum"] - before["db_pool_wait_seconds_sum"] > 50 * 0.25

    run(test)
