"""Jobs on PostgreSQL: on working connections, retried when that is safe, committed at most once."""

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import Group
from django.db import DatabaseError, ProgrammingError, connection

from core.database.pool import Database
from core.database.postgresql import connection as postgres_connection
from core.database.postgresql import jobs as postgres_jobs
from core.http.problems import ServiceUnavailable
from tests.core.database.postgresql.conftest import run_with_database
from tests.core.database.postgresql.statements import INSERT, ask, execute, names, queue
from tests.postgres_server import PostgresServer, paused
from tests.running_service import RunningService

type Run = Callable[[Callable[[Database], Any]], Any]


@pytest.fixture(autouse=True)
def few_threads(settings: Any) -> None:
    settings.DB_POOL_SIZE = 2


@pytest.fixture
def other(dsn: str) -> Any:
    """The connection of another client."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection
    connection.close()


def my_process() -> int:
    return int(ask("SELECT pg_backend_pid()"))


def end_others(other: Any) -> None:
    """Terminate every other connection to the database, and wait until they are gone."""
    mine = "datname = current_database() AND pid <> pg_backend_pid()"
    other.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {mine}")


async def until_it_works(database: Database, job: Callable[[], Any]) -> None:
    """Retry a write for as long as a recovery may take."""
    async with asyncio.timeout(2):
        while True:
            try:
                await database.write(job)
            except ServiceUnavailable:
                await asyncio.sleep(0.05)
            else:
                return


def test_session_has_time_zone_and_timeouts(run: Run, settings: Any) -> None:
    settings.DB_LOCK_TIMEOUT, settings.DB_STATEMENT_TIMEOUT = 7, 9

    async def test(database: Database) -> None:
        for name, value in {
            "TimeZone": "UTC",
            "application_name": "agent-router",
            "lock_timeout": "7s",
            "statement_timeout": "9s",
            "idle_in_transaction_session_timeout": "9s",
            "client_encoding": "UTF8",
        }.items():
            assert await database.read(partial(ask, f"SHOW {name}")) == value, name

    run(test)


def test_connections_are_kept(run: Run) -> None:
    async def test(database: Database) -> None:
        used = {await database.read(my_process) for _ in range(20)}
        assert len(used | {await database.write(my_process) for _ in range(20)}) <= 2

    run(test)


@pytest.mark.parametrize("is_write", [False, True])
def test_connections_cut_while_idle_fail_no_job(run: Run, other: Any, is_write: bool) -> None:
    async def test(database: Database) -> None:
        run_job = database.write if is_write else database.read
        for _ in range(3):
            await asyncio.gather(*[run_job(my_process) for _ in range(20)])
            await asyncio.to_thread(end_others, other)
            await asyncio.gather(*[run_job(names) for _ in range(20)])

    run(test)


def test_read_is_retried_after_a_lost_connection(run: Run, other: Any) -> None:
    tries = []

    def job() -> int:
        tries.append(my_process())
        if len(tries) == 1:
            end_others(other)
        return len(names())

    async def test(database: Database) -> None:
        assert await database.read(job) == 0

    run(test)
    assert len(set(tries)) == 2


def test_write_is_retried_after_a_connection_lost_before_commit(run: Run, other: Any) -> None:
    tries = []

    def job() -> None:
        tries.append(1)
        Group.objects.create(name=f"try {len(tries)}")
        if len(tries) == 1:
            end_others(other)
        Group.objects.count()

    async def test(database: Database) -> None:
        await database.write(job)
        assert await database.read(names) == ["try 2"]

    run(test)


def test_write_is_not_retried_after_a_lost_commit(run: Run, other: Any) -> None:
    tries = []

    def job() -> None:
        tries.append(1)
        Group.objects.create(name=f"try {len(tries)}")
        if len(tries) == 1:
            # The next statement is COMMIT.
            end_others(other)

    async def test(database: Database) -> None:
        with pytest.raises(ServiceUnavailable):
            await database.write(job)
        assert await database.read(names) == []
        await database.write(lambda: queue(INSERT, "later"))
        assert await database.read(names) == ["later"]

    run(test)
    assert tries == [1]


def test_job_that_always_loses_its_connection_is_503(run: Run, other: Any) -> None:
    tries = []

    def job() -> None:
        tries.append(1)
        end_others(other)
        names()

    async def test(database: Database) -> None:
        for run_job in (database.read, database.write):
            tries.clear()
            with pytest.raises(ServiceUnavailable):
                await run_job(job)
            assert len(tries) == postgres_jobs.MAX_ATTEMPTS

    run(test)


def test_both_jobs_of_a_deadlock_succeed(run: Run) -> None:
    barrier, tries = threading.Barrier(2, timeout=20), []

    def update(first: str, second: str) -> None:
        tries.append(first)
        Group.objects.filter(name=first).update(name=first)
        if len(tries) <= 2:
            barrier.wait()
        Group.objects.filter(name=second).update(name=second)

    async def test(database: Database) -> None:
        await database.write(lambda: Group.objects.bulk_create([Group(name="a"), Group(name="b")]))
        await asyncio.gather(database.write(lambda: update("a", "b")), database.write(lambda: update("b", "a")))

    run(test)
    # A job may lose the deadlock twice if its rival is slow.
    assert len(tries) in (3, 4)


def test_conflict_at_the_commit_is_retried(run: Run, other: Any) -> None:
    tries = []

    def job() -> int:
        connection.cursor().execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        tries.append(1)
        count = Group.objects.count()
        if len(tries) == 1:
            with other.transaction():
                other.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
                other.execute("SELECT count(*) FROM auth_group")
                other.execute("INSERT INTO auth_group (name) VALUES ('rival')")
        queue(INSERT, f"{count} before")
        return count

    async def test(database: Database) -> None:
        assert await database.write(job) == 1
        assert await database.read(names) == ["rival", "1 before"]

    run(test)
    assert len(tries) == 2


def test_lock_timeout_is_503(run: Run, other: Any, settings: Any) -> None:
    settings.DB_LOCK_TIMEOUT = 1
    change = "UPDATE auth_group SET name = %s"

    async def test(database: Database) -> None:
        await database.write(lambda: queue(INSERT, "a"))
        with other.transaction():
            other.execute("SELECT 1 FROM auth_group FOR UPDATE")
            with pytest.raises(ServiceUnavailable) as caught:
                await database.write(lambda: queue(change, "b"))
            assert "Retry-After" in caught.value.headers
        await database.write(lambda: queue(change, "b"))
        assert await database.read(names) == ["b"]

    run(test)


def test_statement_timeout_is_503_and_keeps_the_connection(run: Run, settings: Any) -> None:
    settings.DB_STATEMENT_TIMEOUT, settings.DB_POOL_SIZE = 1, 1

    async def test(database: Database) -> None:
        process = await database.read(my_process)
        for run_job in (database.read, database.write):
            with pytest.raises(ServiceUnavailable):
                await run_job(lambda: ask("SELECT pg_sleep(20)"))
        assert await database.read(my_process) == process

    run(test)


def test_standby_is_503_and_the_next_job_reconnects(run: Run, other: Any, settings: Any) -> None:
    settings.DB_POOL_SIZE = 1
    name = other.info.dbname

    async def test(database: Database) -> None:
        other.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        end_others(other)
        with pytest.raises(ServiceUnavailable):
            await database.write(lambda: queue(INSERT, "a"))
        other.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
        await database.write(lambda: queue(INSERT, "a"))

    run(test)


def test_schema_change_does_not_break_prepared_statements(run: Run, other: Any, settings: Any) -> None:
    settings.DB_POOL_SIZE = 1

    def find(name: str) -> Any:
        return execute("SELECT * FROM auth_group WHERE name = %s", name).fetchall()

    def find_and_insert() -> None:
        find("a")
        queue(INSERT, "b")

    async def test(database: Database) -> None:
        await database.write(lambda: queue(INSERT, "a"))
        assert len(await database.read(lambda: find("a"))) == 1
        other.execute("ALTER TABLE auth_group ALTER COLUMN name TYPE text")
        assert len(await database.read(lambda: find("a"))) == 1
        other.execute("ALTER TABLE auth_group ALTER COLUMN name TYPE varchar(150)")
        await database.write(find_and_insert)
        await database.read(lambda: connection.cursor().execute("DEALLOCATE ALL"))
        assert len(await database.read(lambda: find("b"))) == 1

    run(test)


def test_bug_is_not_503(run: Run) -> None:
    async def test(database: Database) -> None:
        for run_job in (database.read, database.write):
            with pytest.raises(ProgrammingError):
                await run_job(lambda: ask("SELECT nothing FROM nowhere"))
            assert await run_job(names) == []

    run(test)


def test_open_transaction_does_not_leak_into_the_next_job(run: Run, settings: Any) -> None:
    settings.DB_POOL_SIZE = 1

    def job() -> None:
        connection.connection.execute("BEGIN")
        connection.connection.execute("INSERT INTO auth_group (name) VALUES ('a')")
        raise DatabaseError("the job's own")

    async def test(database: Database) -> None:
        with pytest.raises(DatabaseError):
            await database.read(job)
        assert await database.read(names) == []

    run(test)


def test_jobs_wait_for_a_restarting_server(use: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_connection, "RECONNECT_SECONDS", 30.0)

    async def test(database: Database) -> None:
        await database.read(my_process)
        await asyncio.to_thread(server.stop)
        waiting = [asyncio.ensure_future(database.read(my_process)) for _ in range(5)]
        waiting += [asyncio.ensure_future(database.write(my_process)) for _ in range(5)]
        await asyncio.sleep(0.5)
        assert not any(one.done() for one in waiting)
        await asyncio.to_thread(server.start)
        await asyncio.gather(*waiting)

    with PostgresServer() as server:
        use(server.create_database())
        run_with_database(test)


def test_jobs_do_not_wait_long_for_a_server_that_is_down(
    use: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connection, "RECONNECT_SECONDS", 0.5)

    async def test(database: Database) -> None:
        async with asyncio.timeout(10):
            for _ in range(50):
                with pytest.raises(ServiceUnavailable):
                    await database.read(my_process)
        await asyncio.to_thread(server.start)
        await until_it_works(database, my_process)
        await asyncio.gather(*[database.write(my_process) for _ in range(20)])

    with PostgresServer() as server:
        use(server.create_database())
        server.stop()
        run_with_database(test)


def test_hanging_server_blocks_no_job_forever(use: Callable[..., None], settings: Any) -> None:
    settings.DB_STATEMENT_TIMEOUT = 1

    async def test(database: Database) -> None:
        await database.write(lambda: queue(INSERT, "before"))
        with paused(server):
            jobs = [database.read(names), database.write(names), database.write(lambda: queue(INSERT, "never"))]
            async with asyncio.timeout(15):
                results = await asyncio.gather(*jobs, return_exceptions=True)
            assert [type(result) for result in results] == [ServiceUnavailable] * 3
        await until_it_works(database, lambda: queue(INSERT, "after"))
        stored = await database.read(names)
        # The server may still execute the statement that it received before it hung.
        assert [name for name in stored if name != "never"] == ["before", "after"]

    with PostgresServer() as server:
        dsn = server.create_database()
        RunningService(server.folder, DB_DSN=dsn).manage("migrate", "auth", "--verbosity=0")
        use(dsn)
        run_with_database(test)
