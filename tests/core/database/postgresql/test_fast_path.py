"""The fast path: the results of Django's cursors, in fewer round trips."""

import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import Group
from django.db import DataError, IntegrityError, ProgrammingError, connection, models, transaction
from django.db.models.functions import Cast
from django.db.transaction import TransactionManagementError
from psycopg.waiting import wait

from core.auth.models import AuditEvent
from core.database.compiled import CompiledQuery, parameter
from core.database.fast_path import current_fast_path
from core.database.pool import Database
from core.database.postgresql import connection as postgres_connection
from core.database.postgresql import fast_path as postgres_fast_path
from core.values import uuid7
from tests.core.database.postgresql.statements import FIND, INSERT, ask, execute, names, queue

type Run = Callable[[Callable[[Database], Any]], Any]

MOMENT = datetime(2026, 2, 28, 23, 59, 59, 120, tzinfo=UTC)


def execute_as_orm(rows: models.QuerySet[Any, Any]) -> Any:
    """Run the SQL of a queryset on the fast path."""
    statement, values = rows.query.get_compiler(connection=connection).as_sql()
    return execute(statement, *values)


def prepared() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements ORDER BY name")
        return [row[0] for row in cursor.fetchall()]


def test_rows_equal_those_of_the_orm(run: Run) -> None:
    event = AuditEvent(
        id=uuid7(),
        created_at=MOMENT,
        event="100% 'quoted' \\ %s",
        session_id=uuid.uuid4(),
        ip="2001:db8::1",
        user_agent="Ünïcode ✓ 🎉",
        detail="line\nbreak",
    )
    text = models.TextField()
    found = AuditEvent.objects.filter(id=event.id, created_at=MOMENT, user_id=None, event=event.event)
    missed = AuditEvent.objects.filter(id__in=[uuid.uuid4(), uuid.uuid4()])
    as_text = found.values_list(Cast("id", text), Cast("created_at", text), models.Value("100%"))

    async def test(database: Database) -> None:
        await database.write(event.save)
        stored = await database.read(lambda: found.values_list().get())
        assert stored[0] == event.id
        assert await database.read(lambda: execute_as_orm(found.values_list()).fetchall()) == [stored]
        assert await database.read(lambda: execute_as_orm(found.values_list()).fetchone()) == stored
        assert await database.read(lambda: execute_as_orm(missed).fetchall()) == []
        assert await database.read(lambda: execute_as_orm(missed).fetchone()) is None
        # The session is in UTC in any server time zone.
        expected = (str(event.id), "2026-02-28 23:59:59.00012+00", "100%")
        assert await database.read(lambda: execute_as_orm(as_text).fetchone()) == expected

    run(test)


def test_rowcount_is_the_number_of_changed_rows(run: Run) -> None:
    rename, delete = "UPDATE auth_group SET name = %s WHERE id > %s", "DELETE FROM auth_group WHERE name = %s"

    async def test(database: Database) -> None:
        for statement, values, count in (
            (INSERT, ["a"], 1),
            (rename, ["b", 0], 1),
            (rename, ["c", 10**6], 0),
            (delete, ["nobody"], 0),
            (delete, ["b"], 1),
        ):
            assert await database.write(lambda: execute(statement, *values).rowcount) == count  # noqa: B023

    run(test)


def test_statements_are_prepared_once_per_connection(run: Run, settings: Any) -> None:
    settings.DB_POOL_SIZE = 1

    async def test(database: Database) -> None:
        for name in ("a", "b", "c"):
            await database.read(partial(execute, FIND, name))
        assert len(await database.read(prepared)) == 1

    run(test)


def test_statement_with_custom_plans_is_not_prepared(run: Run, settings: Any) -> None:
    settings.DB_POOL_SIZE = 1
    found = CompiledQuery(
        lambda: Group.objects.filter(name=parameter(Group, "name")).values_list("name"), force_custom_plan=True
    )

    async def test(database: Database) -> None:
        await database.write(lambda: queue(INSERT, "a"))
        for _ in range(2):
            assert len(await database.read(lambda: found.fetch_all(name="a"))) == 1
        assert not [sql for sql in await database.read(prepared) if "WHERE" in sql and "auth_group" in sql]

    run(test)


def test_jit_is_off(run: Run) -> None:
    async def test(database: Database) -> None:
        assert await database.read(lambda: ask("SHOW jit")) == "off"

    run(test)


def test_connection_with_too_many_prepared_statements_deallocates_them(
    run: Run, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DB_POOL_SIZE = 1
    monkeypatch.setattr(postgres_fast_path, "MAX_PREPARED", 5)

    def find(limit: int) -> Any:
        return execute(f"{FIND} LIMIT {limit}", "a").fetchall()

    async def test(database: Database) -> None:
        await database.write(lambda: queue(INSERT, "a"))
        for _ in range(3):
            for limit in range(1, 13):
                assert len(await database.read(partial(find, limit))) == 1
            assert len(await database.read(prepared)) <= 5

    run(test)


def test_statement_that_cannot_be_prepared_does_not_affect_others(run: Run, settings: Any) -> None:
    settings.DB_POOL_SIZE = 1

    def both() -> None:
        queue("INSERT INTO nowhere VALUES (%s)", "a")
        queue(INSERT, "a")

    async def test(database: Database) -> None:
        for _ in range(2):
            with pytest.raises(ProgrammingError, match="nowhere"):
                await database.write(both)
            assert await database.read(names) == []
        await database.write(lambda: queue(INSERT, "a"))
        assert await database.read(names) == ["a"]

    run(test)


def test_queued_statements_run_before_those_of_the_orm(run: Run) -> None:
    def job() -> list[str]:
        queue(INSERT, "first")
        Group.objects.create(name="second")
        queue(INSERT, "third")
        with transaction.atomic():
            Group.objects.filter(name="first").update(name="1st")
            queue(INSERT, "fourth")
        return names()

    async def test(database: Database) -> None:
        expected = ["1st", "second", "third", "fourth"]
        assert await database.write(job) == expected
        assert await database.read(names) == expected

    run(test)


def test_savepoint_rolls_back_queued_statements(run: Run) -> None:
    def job() -> None:
        queue(INSERT, "stays")
        with suppress(ZeroDivisionError), transaction.atomic():
            queue(INSERT, "goes")
            raise ZeroDivisionError
        queue(INSERT, "stays too")

    async def test(database: Database) -> None:
        await database.write(job)
        assert await database.read(names) == ["stays", "stays too"]

    run(test)


@pytest.mark.parametrize("way", [queue, execute])
def test_error_rolls_back_the_job_whenever_it_is_raised(run: Run, way: Any) -> None:
    def job() -> None:
        Group.objects.create(name="before")
        for _ in range(2):
            way(INSERT, "twice")

    async def test(database: Database) -> None:
        with pytest.raises(IntegrityError, match="twice"):
            await database.write(job)
        with pytest.raises(DataError):
            await database.write(lambda: way(INSERT, "x" * 1000))
        assert await database.read(names) == []

    run(test)


def test_job_that_ignores_an_error_fails(run: Run) -> None:
    def job() -> None:
        execute(INSERT, "once")
        with pytest.raises(IntegrityError):
            execute(INSERT, "once")

    async def test(database: Database) -> None:
        with pytest.raises(TransactionManagementError):
            await database.write(job)
        assert await database.read(names) == []

    run(test)


def test_failed_job_sends_no_queued_statements(run: Run) -> None:
    def job() -> None:
        queue(INSERT, "never")
        raise ZeroDivisionError

    async def test(database: Database) -> None:
        with pytest.raises(ZeroDivisionError):
            await database.write(job)
        assert await database.read(names) == []

    run(test)


def test_hooks_run_after_the_commit_and_cannot_fail_the_job(run: Run) -> None:
    seen = []

    def look() -> None:
        seen.append(names())
        raise ZeroDivisionError

    def job() -> str:
        queue(INSERT, "a")
        transaction.on_commit(look)
        return "done"

    async def test(database: Database) -> None:
        assert await database.write(job) == "done"
        assert await database.read(names) == ["a"]

    run(test)
    assert seen == [["a"]]


def test_no_fast_path_while_cursors_are_watched(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_connection, "_has_plain_cursors", lambda _: False)

    def job() -> None:
        assert current_fast_path() is None
        Group.objects.create(name="a")

    async def test(database: Database) -> None:
        await database.write(job)
        assert await database.read(names) == ["a"]

    run(test)


def test_transaction_takes_one_round_trip_per_result_and_one_to_commit(
    run: Run, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DB_POOL_SIZE = 1
    trips = []

    def noting(function: Callable[..., Any]) -> Callable[..., Any]:
        def note_and_call(*arguments: Any, **options: Any) -> Any:
            trips.append(function)
            return function(*arguments, **options)

        return note_and_call

    monkeypatch.setattr("core.database.postgresql.fast_path.wait", noting(wait))
    # BEGIN and COMMIT, if psycopg sends them.
    monkeypatch.setattr(psycopg.Connection, "_exec_command", noting(psycopg.Connection._exec_command))

    def change() -> None:
        execute(FIND, "a")
        queue(INSERT, "b")
        queue(INSERT, "c")

    async def test(database: Database) -> None:
        await database.read(names)
        for kind, job, round_trips in (
            (database.write, lambda: queue(INSERT, "a"), 1),
            (database.write, change, 2),
            (database.write, lambda: None, 0),
            (database.read, lambda: execute(FIND, "a"), 1),
        ):
            trips.clear()
            await kind(job)
            assert len(trips) == round_trips

    run(test)
