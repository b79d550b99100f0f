"""A PostgreSQL server for these tests, whichever database the other tests use."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connections
from pytest_django import DjangoDbBlocker

from core.database.dsn import parse_dsn
from core.database.pool import Database
from core.database.postgresql.outage import outage
from tests.postgres_server import PostgresServer
from tests.running_service import RunningService

SECONDS = 60.0

type Test = Callable[[Database], Awaitable[Any]]


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    """A shared server, which tests must not stop. Its time zone and collation are not the service's."""
    with PostgresServer(timezone="Asia/Tokyo") as running:
        yield running


@pytest.fixture(scope="session")
def template(server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a migrated template database."""
    dsn = server.create_database()
    service = RunningService(tmp_path_factory.mktemp("template"), DB_DSN=dsn)
    service.prepare_database()
    service.query("DELETE FROM accounts_user")
    return urlsplit(dsn).path[1:]


@pytest.fixture
def dsn(server: PostgresServer, template: str) -> str:
    """A migrated database for one test."""
    return server.create_database(template)


@pytest.fixture
def use(django_db_blocker: DjangoDbBlocker) -> Iterator[Callable[..., None]]:
    """Return use(dsn), which points Django's connections of this process to another database."""
    before, kept = connections.settings["default"], connections["default"]

    def use_database(dsn: str, *, is_behind_pgbouncer: bool = False) -> None:
        entry = parse_dsn(dsn, settings.BASE_DIR, is_behind_pgbouncer=is_behind_pgbouncer)
        connections.settings["default"] = {**before, "PORT": "", **entry}
        connections["default"] = connections.create_connection("default")

    with django_db_blocker.unblock():
        yield use_database
        connections["default"].close()
    connections.settings["default"], connections["default"] = before, kept
    outage.__init__()  # type: ignore[misc]


@pytest.fixture
def run(use: Callable[..., None], dsn: str) -> Callable[[Test], Any]:
    """Run a test's coroutine function with the service's database threads, on PostgreSQL."""
    use(dsn)
    return run_with_database


def run_with_database(test: Test) -> Any:
    """Run a test's coroutine function with the service's database threads on Django's current database."""

    async def opened() -> Any:
        database = Database()
        await database.open()
        try:
            async with asyncio.timeout(SECONDS):
                return await test(database)
        finally:
            await database.close()

    return asyncio.run(opened())
