"""SQLite's writer: waiting jobs share a commit, and a failing job affects no other job."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.transaction import TransactionManagementError

from core.database.pool import WRITE_BATCH, Database
from core.http.problems import Conflict, ServiceUnavailable
from tests.core.database.conftest import Together
from tests.databases import IS_POSTGRES

pytestmark = pytest.mark.skipif(IS_POSTGRES, reason="SQLite's own")

type Run = Callable[[Callable[[Database], Any]], Any]

NOWHERE = 999_999


def add(name: str) -> Callable[[], str]:
    def job() -> str:
        Group.objects.create(name=name)
        return name

    return job


def add_and_fail(name: str, error: BaseException) -> Callable[[], None]:
    def job() -> None:
        Group.objects.create(name=name)
        raise error

    return job


def break_foreign_key() -> str:
    Group.objects.create(name="guilty")
    Permission.objects.create(name="of nothing", codename="x", content_type_id=NOWHERE)
    return "guilty"


def names() -> set[str]:
    return set(Group.objects.values_list("name", flat=True))


def test_waiting_jobs_share_one_commit(run: Run) -> None:
    async def test(database: Database) -> None:
        together = Together(database)
        wanted = [f"n{number}" for number in range(10)]
        assert await together.write(*map(add, wanted)) == wanted
        assert together.count("BEGIN IMMEDIATE") == together.count("COMMIT") == 1
        assert together.count("SAVEPOINT") == together.count("RELEASE") == 10
        assert await database.read(names) == set(wanted)

    run(test)


def test_at_most_one_batch_shares_a_commit(run: Run) -> None:
    async def test(database: Database) -> None:
        together = Together(database)
        await together.write(*[add(f"n{number}") for number in range(2 * WRITE_BATCH + 1)])
        assert together.count("COMMIT") == 3

    run(test)


def test_single_job_needs_no_savepoint(run: Run) -> None:
    async def test(database: Database) -> None:
        together = Together(database)
        assert await together.write(add("one")) == ["one"]
        assert (together.count("SAVEPOINT"), together.count("BEGIN IMMEDIATE")) == (0, 1)

    run(test)


@pytest.mark.parametrize("others", [0, 3])
def test_failed_job_is_rolled_back_alone(run: Run, others: int) -> None:
    error = Conflict("no")

    async def test(database: Database) -> None:
        jobs = [add(f"n{number}") for number in range(others)]
        jobs.insert(others // 2, add_and_fail("gone", error))  # type: ignore[arg-type]
        results = await Together(database).write(*jobs)
        assert results.count(error) == 1
        assert await database.read(names) == {f"n{number}" for number in range(others)}

    run(test)


def test_database_error_fails_only_its_own_job(run: Run) -> None:
    async def test(database: Database) -> None:
        results = await Together(database).write(add("a"), add("a"), add("b"))
        assert results[0::2] == ["a", "b"]
        assert isinstance(results[1], IntegrityError)
        assert await database.read(names) == {"a", "b"}

    run(test)


def test_commit_failure_fails_only_the_guilty_job(run: Run) -> None:
    async def test(database: Database) -> None:
        results = await Together(database).write(add("a"), break_foreign_key, add("b"))
        assert isinstance(results[1], IntegrityError)
        assert results[0::2] == ["a", "b"]
        assert await database.read(names) == {"a", "b"}
        with pytest.raises(IntegrityError):
            await database.write(break_foreign_key)
        assert await database.write(add("c")) == "c"

    run(test)


def test_result_is_returned_after_the_commit(run: Run) -> None:
    async def test(database: Database) -> None:
        async def write_and_look(name: str) -> bool:
            await database.write(add(name))
            return name in await asyncio.to_thread(seen_by_another_connection)

        def seen_by_another_connection() -> set[str]:
            other = sqlite3.connect(connection.settings_dict["NAME"])
            try:
                return {row[0] for row in other.execute("SELECT name FROM auth_group")}
            finally:
                other.close()

        assert all(await asyncio.gather(*[write_and_look(f"n{number}") for number in range(30)]))

    run(test)


def test_transactions_inside_a_job_are_savepoints(run: Run) -> None:
    def job() -> None:
        add("outer")()
        with pytest.raises(ValueError, match="inner"), transaction.atomic():
            add_and_fail("inner", ValueError("inner"))()
        with transaction.atomic():
            add("second")()

    async def test(database: Database) -> None:
        assert await Together(database).write(job, add("other")) == [None, "other"]
        assert await database.read(names) == {"outer", "second", "other"}

    run(test)


@pytest.mark.parametrize("others", [0, 2])
def test_job_that_ignores_a_database_error_fails(run: Run, others: int) -> None:
    def careless() -> str:
        add("careless")()
        try:
            add("careless")()
        except IntegrityError:
            return "all is well"
        raise AssertionError("unreachable")

    def undone() -> str:
        add("undone")()
        transaction.set_rollback(True)
        return "all is well"

    async def test(database: Database) -> None:
        for job in (careless, undone):
            jobs = [job, *(add(f"{job.__name__} {number}") for number in range(others))]
            results = await Together(database).write(*jobs)
            assert isinstance(results[0], TransactionManagementError)
            assert [type(result) for result in results[1:]] == [str] * others
        assert not {"careless", "undone"} & await database.read(names)
        assert len(await database.read(names)) == 2 * others

    run(test)


def test_jobs_fail_if_sqlite_ends_their_transaction(run: Run) -> None:
    """SQLite rolls back the whole transaction when the disk is full, including its savepoints."""

    def lose() -> None:
        connection.connection.execute("ROLLBACK")
        raise OperationalError("database or disk is full")

    async def test(database: Database) -> None:
        results = await Together(database).write(add("before"), lose, add("after"))
        assert [type(result) for result in results] == [ServiceUnavailable] * 3
        assert await database.read(names) == set()
        assert await database.write(add("next")) == "next"

    run(test)


def test_hooks_run_once_after_the_commit_of_their_job(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    ran: list[str] = []

    def hooked(name: str, *, fails: bool = False, hook_fails: bool = False) -> Callable[[], str]:
        def hook() -> None:
            assert not connection.in_atomic_block
            ran.append(name)
            if hook_fails:
                raise ValueError("the hook's own mistake")

        def job() -> str:
            add(name)()
            transaction.on_commit(hook)
            if fails:
                raise Conflict
            return name

        return job

    async def test(database: Database) -> None:
        results = await Together(database).write(
            hooked("a"), hooked("failing", fails=True), hooked("hook fails", hook_fails=True), hooked("b")
        )
        assert [result for result in results if isinstance(result, str)] == ["a", "hook fails", "b"]
        assert ran == ["a", "hook fails", "b"]
        assert await database.write(hooked("alone", hook_fails=True)) == "alone"
        with pytest.raises(Conflict):
            await database.write(hooked("failing alone", fails=True))
        # A job that runs again alone, because another job broke the commit, runs its hook once.
        await Together(database).write(hooked("twice"), break_foreign_key)
        assert ran == ["a", "hook fails", "b", "alone", "twice"]

    run(test)
    failures = [one for one in caplog.records if "the hook's own mistake" in one.getMessage()]
    assert [one.levelno for one in failures] == [logging.ERROR] * 2


def test_commit_step_is_part_of_the_commit_and_cannot_break_it(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def test(database: Database) -> None:
        database.add_commit_step(lambda: Group(name="last").save())
        assert await database.write(add("a")) == "a"
        assert await database.read(names) == {"a", "last"}
        # The name exists now: the step fails, and the commit does not.
        assert await database.write(add("b")) == "b"
        assert await Together(database).write(add("c"), add("d")) == ["c", "d"]
        assert await database.read(names) == {"a", "b", "c", "d", "last"}

    run(test)
    assert "without it" in caplog.text


def test_write_is_finished_after_its_caller_is_cancelled(run: Run) -> None:
    async def test(database: Database) -> None:
        together = Together(database)

        async def leave() -> None:
            task = asyncio.create_task(database.write(slow))
            assert await asyncio.to_thread(together._entered.wait, 10)
            task.cancel()
            together._open.set()

        def slow() -> None:
            add("late")()
            together._entered.set()
            assert together._open.wait(10)

        await leave()
        await database.write(lambda: None)
        assert await database.read(names) == {"late"}

    run(test)


def test_long_lock_is_503_until_it_is_released(run: Run) -> None:
    async def test(database: Database) -> None:
        await database.write(lambda: None)
        other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None, check_same_thread=False)
        try:
            await database._writers.submit(  # type: ignore[union-attr]
                lambda: connection.connection.execute("PRAGMA busy_timeout=20")
            )
            other.execute("BEGIN IMMEDIATE")
            results = await asyncio.gather(*[database.write(add(f"n{n}")) for n in range(3)], return_exceptions=True)
            assert [type(result) for result in results] == [ServiceUnavailable] * 3
            assert await database.read(names) == set()
            other.execute("COMMIT")
            assert await database.write(add("next")) == "next"
        finally:
            other.close()

    run(test)
