"""PostgreSQL for the tests of what is done for it: they run on it whatever the other tests run on."""

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
    """Shared: not to be stopped. Its own time zone and its sorting are not what the service needs."""
    with PostgresServer(timezone="Asia/Tokyo") as running:
        yield running


@pytest.fixture(scope="session")
def template(server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a migrated database, to make others like it."""
    dsn = server.create_database()
    service = RunningService(tmp_path_factory.mktemp("template"), DB_DSN=dsn)
    service.prepare_database()
    service.query("DELETE FROM accounts_user")
    return urlsplit(dsn).path[1:]


@pytest.fixture
def dsn(server: PostgresServer, template: str) -> str:
    """A migrated database of the test's own."""
    return server.create_database(template)


@pytest.fixture
def use(django_db_blocker: DjangoDbBlocker) -> Iterator[Callable[..., None]]:
    """use(dsn): has Django's connections of this process lead to another database."""
    before, kept = connections.settings["default"], connections["default"]

    def lead_to(dsn: str, *, is_behind_pgbouncer: bool = False) -> None:
        entry = parse_dsn(dsn, settings.BASE_DIR, is_behind_pgbouncer=is_behind_pgbouncer)
        connections.settings["default"] = {**before, "PORT": "", **entry}
        connections["default"] = connections.create_connection("default")

    with django_db_blocker.unblock():
        yield lead_to
        connections["default"].close()
    connections.settings["default"], connections["default"] = before, kept
    outage.__init__()  # type: ignore[misc]


@pytest.fixture
def run(use: Callable[..., None], dsn: str) -> Callable[[Test], Any]:
    """Runs a test's coroutine function with the service's database threads, on PostgreSQL."""
    use(dsn)
    return run_with_database


def run_with_database(test: Test) -> Any:
    """Runs it with the service's database threads over what Django's connections lead to."""

    async def opened() -> Any:
        database = Database()
        await database.open()
        try:
            async with asyncio.timeout(SECONDS):
                return await test(database)
        finally:
            await database.close()

    return asyncio.run(opened())
