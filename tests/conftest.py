"""What every test may use. Each worker of pytest-xdist has a service of its own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.running_service import RunningService


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """The service without Redis, on the tests' database. Tests share it, each with users of its own."""
    with RunningService(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., RunningService]]:
    """Starts a service with settings of the test's own: start(workers=2, RATE_LIMIT="5/minute")."""
    with ExitStack() as stack:

        def start_one(**options: object) -> RunningService:
            folder = tmp_path_factory.mktemp("service")
            return stack.enter_context(RunningService(folder, **options))  # type: ignore[arg-type]

        yield start_one


@pytest.fixture
def me(service: RunningService) -> Iterator[httpx.Client]:
    """A client that is logged in as a new user."""
    client = service.user()
    yield client
    client.close()


@pytest.fixture
def anonymous(service: RunningService) -> Iterator[httpx.Client]:
    """A client without credentials."""
    with service.client() as client:
        yield client
