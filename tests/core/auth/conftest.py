"""Fixtures of the tests of accounts."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from core.auth.models import User
from tests.postgres_server import PostgresServer
from tests.running_service import RunningService


@pytest.fixture
def make_user(db: None) -> Callable[..., User]:
    """Create a user in this process' database without hashing a password."""

    def make(**fields: object) -> User:
        return User.objects.create(email=f"{secrets.token_hex(8)}@example.org", **fields)

    return make


@pytest.fixture(autouse=True)
def _clients_are_closed(close_clients: None) -> None:
    """Use `close_clients` in every test of this folder."""


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def two_workers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """Run the service with two workers, once on each database."""
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("service")
        settings = {"DB_DSN": f"sqlite:///{folder}/app.db"}
        if request.param == "postgres":
            server = stack.enter_context(PostgresServer())
            settings["DB_DSN"] = server.create_database()
        yield stack.enter_context(RunningService(folder, workers=2, **settings))
