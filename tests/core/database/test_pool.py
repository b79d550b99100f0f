"""The pool's interface: parallel reads, persistent connections, errors."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, OperationalError, ProgrammingError, connection, connections, transaction
from django.db.backends.signals import connection_created
from django.db.transaction import TransactionManagementError
from pytest_django import Settings

from core.database.pool import Database
from core.http.problems import NotFound, ServiceUnavailable
from tests.databases import IS_POSTGRES

type Run = Callable[[Callable[[Database], Any]], Any]

sqlite_only = pytest.mark.skipif(IS_POSTGRES, reason="SQLite's own")


def open_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("database-")]


def pool_size(settings: Settings) -> int:
    """On SQLite there is one more thread, the writer."""
    return int(settings.DB_POOL_SIZE) + (not IS_POSTGRES)


def test_reads_run_in_parallel(run: Run, settings: Settings) -> None:
    barrier = threading.Barrier(settings.DB_POOL_SIZE, timeout=10)

    async def test(database: Database) -> None:
        await asyncio.gather(*[database.read(barrier.wait) for _ in range(settings.DB_POOL_SIZE)])

    run(test)


def test_connections_are_opened_once_and_closed_at_the_end(run: Run, settings: Settings) -> None:
    made: list[Any] = []
    kept: set[int] = set()

    def count(*, connection: Any, **_: Any) -> None:
        made.append(connection)

    def note() -> None:
        Group.objects.count()
        kept.add(id(connection.connection))

    async def test(database: Database) -> None:
        for _ in range(30):
            await asyncio.gather(database.read(note), database.write(note))
        assert len(open_threads()) == pool_size(settings)

    connection_created.connect(count)
    try:
        run(test)
    finally:
        connection_created.disconnect(count)
    assert len(made) == pool_size(settings)
    assert len(kept) <= len(made)
    assert open_threads() == []
    assert [one.connection for one in made] == [None] * len(made)


def test_errors_of_a_job_reach_the_caller_unchanged(run: Run) -> None:
    def broken_sql() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT nothing FROM nowhere")

    def refuse() -> None:
        raise NotFound

    async def test(database: Database) -> None:
        for way in (database.read, database.write):
            with pytest.raises(NotFound):
                await way(refuse)
            # A bug: a 500 and not a 503.
            with pytest.raises((OperationalError, ProgrammingError)):
                await way(broken_sql)
            assert await way(Group.objects.count) == 0

    run(test)


def test_write_is_atomic(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    ran: list[str] = []

    def add(name: str) -> str:
        Group.objects.create(name=name)
        transaction.on_commit(lambda: ran.append(name))
        return name

    def add_and_fail() -> None:
        add("failing")
        raise NotFound

    def add_and_go_on() -> str:
        add("going on")
        with contextlib.suppress(IntegrityError):
            add("going on")
        return "all is well"

    def add_with_broken_hook() -> str:
        transaction.on_commit(lambda: 1 / 0)
        return add("with a hook")

    async def test(database: Database) -> None:
        assert await database.write(lambda: add("done")) == "done"
        with pytest.raises(NotFound):
            await database.write(add_and_fail)
        with pytest.raises(TransactionManagementError):
            await database.write(add_and_go_on)
        assert await database.write(add_with_broken_hook) == "with a hook"
        names = await database.read(lambda: list(Group.objects.order_by("name").values_list("name", flat=True)))
        assert names == ran == ["done", "with a hook"]

    run(test)
    assert "division by zero" in caplog.text


@sqlite_only
def test_unavailable_sqlite_is_503(run: Run) -> None:
    def error(code: int) -> None:
        cause = sqlite3.OperationalError("as SQLite says it")
        cause.sqlite_errorcode = code
        raise OperationalError("as Django says it") from cause

    async def test(database: Database) -> None:
        for code in (
            sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_SNAPSHOT, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE,
            sqlite3.SQLITE_READONLY_DIRECTORY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_CORRUPT,
        ):  # fmt: skip
            for way in (database.read, database.write):
                with pytest.raises(ServiceUnavailable) as refusal:
                    await way(lambda code=code: error(code))  # type: ignore[misc]
                assert "says it" not in refusal.value.detail
                assert refusal.value.headers == {"Retry-After": "1"}

    run(test)


@sqlite_only
def test_connection_is_reopened_after_a_lasting_error(run: Run) -> None:
    """A connection that was opened while the file was read-only stays read-only."""

    def fail_with(code: int) -> int:
        cause = sqlite3.OperationalError()
        cause.sqlite_errorcode = code
        seen.append(id(connection.connection))
        raise OperationalError from cause

    def look() -> int:
        connection.ensure_connection()
        return id(connection.connection)

    seen: list[int] = []
    kept: list[Any] = []

    async def test(database: Database) -> None:
        for group, way in ((database._readers, database.read), (database._writers, database.write)):
            assert group is not None
            for code, is_kept in ((sqlite3.SQLITE_READONLY, False), (sqlite3.SQLITE_BUSY, True)):
                # Keep the old connection, so that a new one has another id().
                await asyncio.gather(*[way(lambda: kept.append(connection.connection)) for _ in range(8)])
                with pytest.raises(ServiceUnavailable):
                    await way(lambda code=code: fail_with(code))  # type: ignore[misc]
                later = set(await asyncio.gather(*[way(look) for _ in range(200)]))
                assert (seen[-1] in later) == is_kept or (is_kept and way == database.read)

    run(test)


@sqlite_only
def test_writer_keeps_its_settings_after_a_reconnect(run: Run) -> None:
    def checkpoint_pages() -> int:
        with connection.cursor() as cursor:
            return int(cursor.execute("PRAGMA wal_autocheckpoint").fetchone()[0])

    def lose_connection() -> None:
        connection.connection.close()

    async def test(database: Database) -> None:
        assert await database.write(checkpoint_pages) == 1000
        with pytest.raises((ProgrammingError, ServiceUnavailable)):
            await database.write(lose_connection)
        assert await database.write(checkpoint_pages) == 1000
        assert await database.read(checkpoint_pages) == 0

    run(test)


@sqlite_only
def test_database_that_cannot_be_opened_is_503(
    transactional_db: None, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    def somewhere_else() -> None:
        connection.close()
        connection.settings_dict = connection.settings_dict | {"NAME": "/nowhere/at/all.db"}

    def back_again() -> None:
        connection.settings_dict = connections.settings["default"]

    settings.DB_POOL_SIZE = 1

    async def test() -> None:
        database = Database()
        await database.open()
        try:
            await database.read(somewhere_else)
            for _ in range(2):
                with pytest.raises(ServiceUnavailable):
                    await database.read(Group.objects.count)
            await database.read(back_again)
            assert await database.read(Group.objects.count) == 0
        finally:
            await database.close()

    asyncio.run(test())
    assert "unable to open database file" in caplog.text


def test_closed_database_refuses_jobs(run: Run) -> None:
    database = Database()
    with pytest.raises(AssertionError, match="not open"):
        asyncio.run(database.read(int))
    with pytest.raises(AssertionError, match="not open"):
        asyncio.run(database.write(int))
    asyncio.run(database.close())


def test_stats_report_size_and_jobs(run: Run, settings: Settings) -> None:
    gate = threading.Event()

    async def test(database: Database) -> None:
        assert database.stats() == {"size": pool_size(settings), "jobs": 0}
        waiting = [asyncio.create_task(database.read(lambda: gate.wait(10))) for _ in range(3)]
        waiting.append(asyncio.create_task(database.write(lambda: gate.wait(10))))
        await asyncio.sleep(0)
        assert database.stats()["jobs"] == 4
        gate.set()
        await asyncio.gather(*waiting)
        assert database.stats()["jobs"] == 0

    run(test)


def test_too_many_callers_are_refused(run: Run, settings: Settings) -> None:
    settings.DB_MAX_WAITING = 2
    gate = threading.Event()

    async def test(database: Database) -> None:
        tasks = [asyncio.create_task(database.write(lambda: gate.wait(10))) for _ in range(5)]
        await asyncio.sleep(0)
        gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [bool] * 2 + [ServiceUnavailable] * 3

    run(test)
