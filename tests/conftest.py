"""Fixtures for all tests. Each worker of pytest-xdist has its own service."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from tests.running_service import INHERITED, MEASURED, RunningService
from tests.staff_browser import Browser, make_member_of_staff


def pytest_xdist_auto_num_workers() -> int:
    """Return the number of workers for `-n auto`. It exceeds the cores because many tests wait for servers."""
    return len(os.sched_getaffinity(0)) + 2


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Measure coverage in slow tests only on request: it makes processes half as slow again, and adds few lines."""
    for name, value in MEASURED.items():
        if item.get_closest_marker("slow") and not item.get_closest_marker("measured"):
            INHERITED.pop(name, None)
        else:
            INHERITED[name] = value


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """The service without Redis, on the database of the tests. Each test uses its own users."""
    with RunningService(tmp_path_factory.mktemp("service"), **MEASURED) as running:  # type: ignore[arg-type]
        yield running


@pytest.fixture
def close_clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close every client that the test opens."""
    with ExitStack() as opened:
        make_client = RunningService.client

        def make_and_register(service: RunningService, **options: Any) -> httpx.Client:
            client = make_client(service, **options)
            opened.callback(client.close)
            return client

        monkeypatch.setattr(RunningService, "client", make_and_register)
        yield


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., RunningService]]:
    """Start services with the test's own settings: start(workers=2, RATE_LIMIT="5/minute")."""
    with ExitStack() as stack:

        def start_one(**options: object) -> RunningService:
            folder = tmp_path_factory.mktemp("service")
            return stack.enter_context(RunningService(folder, **options))  # type: ignore[arg-type]

        yield start_one


@pytest.fixture
def me(service: RunningService) -> Iterator[httpx.Client]:
    """A client logged in as a new user."""
    client = service.user()
    yield client
    client.close()


@pytest.fixture
def anonymous(service: RunningService) -> Iterator[httpx.Client]:
    """A client without credentials."""
    with service.client() as client:
        yield client


@pytest.fixture
def boss(service: RunningService) -> Iterator[Browser]:
    """A browser in which a superuser is logged in to the admin."""
    with Browser(service) as browser:
        assert browser.log_in().status_code == 302
        yield browser


@pytest.fixture
def staff(service: RunningService) -> Iterator[Callable[..., Browser]]:
    """Log new staff users in to the admin: staff("view_item", "change_item")."""
    with ExitStack() as stack:

        def log_in(*permissions: str) -> Browser:
            browser = stack.enter_context(Browser(service))
            browser.email = make_member_of_staff(service, *permissions)
            assert browser.log_in(browser.email).status_code == 302
            return browser

        yield log_in
