"""PostgreSQL restarts, crashes, hangs and is down while the service has load."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.core.database.postgresql.load import Load
from tests.postgres_server import PostgresServer, paused
from tests.running_service import RunningService
from tests.waiting import comes_true

pytestmark = pytest.mark.slow

RECOVERY_SECONDS = 2.0


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server that the test may stop."""
    with PostgresServer() as running:
        yield running


@pytest.fixture
def running(own_server: PostgresServer, start: Callable[..., RunningService]) -> RunningService:
    return start(workers=2, DB_DSN=own_server.create_database())


@pytest.mark.parametrize("how", ["restart", "crash"])
def test_restart_under_load_fails_at_most_one_request_in_a_hundred(
    own_server: PostgresServer, running: RunningService, how: str
) -> None:
    back_at = 0.0
    with Load(running) as load:
        load.wait_for_answers(200)
        for _ in range(2):
            own_server.kill() if how == "crash" else own_server.stop(signal.SIGINT)
            own_server.start()
            back_at = time.monotonic()
            load.wait_for_answers(400)
    statuses = load.statuses()
    assert set(statuses) <= {200, 201, 503}, [answer.text for answer in load.refusals]
    assert statuses[503] <= statuses.total() / 100, statuses
    assert all("Retry-After" in answer.headers for answer in load.refusals)
    assert 503 not in load.statuses(since=back_at + RECOVERY_SECONDS)
    assert load.statuses(since=back_at)[201]
    load.check_nothing_is_lost_or_doubled()


def test_long_outage_is_503_at_once_and_logged_once(own_server: PostgresServer, running: RunningService) -> None:
    with Load(running) as load:
        load.wait_for_answers(100)
        own_server.stop(signal.SIGQUIT)
        with running.client() as probe:
            assert comes_true(lambda: load.statuses()[503] > 50, 10)
            began = time.monotonic()
            assert load.user.get("/v1/items/").status_code == 503
            assert time.monotonic() - began < 1
            assert probe.get("/health/live").status_code == 200
            assert comes_true(lambda: probe.get("/health/ready").status_code == 503, 5)
            own_server.start()
            back_at = time.monotonic()
            assert comes_true(lambda: probe.get("/health/ready").status_code == 200, RECOVERY_SECONDS)
        load.wait_for_answers(200)
    assert set(load.statuses()) <= {200, 201, 503}
    assert 503 not in load.statuses(since=back_at + RECOVERY_SECONDS)
    assert all("Retry-After" in answer.headers for answer in load.refusals)
    load.check_nothing_is_lost_or_doubled()
    messages = [line["message"] for line in running.log_lines()]
    # One line per worker.
    assert sum("out of reach:" in message for message in messages) == 2
    assert sum("is back" in message for message in messages) == 2
    assert "Traceback" not in running.log


def test_service_starts_without_its_database(own_server: PostgresServer, running: RunningService) -> None:
    running.stop()
    own_server.stop()
    running.start()
    with running.client() as client:
        assert client.get("/health/live").status_code == 200
        assert client.get("/health/ready").status_code == 503
        own_server.start()
        assert comes_true(lambda: client.get("/health/ready").status_code == 200, RECOVERY_SECONDS + 1)
    with closing(running.user()) as me:
        assert me.post("/v1/items/", json={"name": "a"}).status_code == 201


def test_server_that_hangs_is_503_and_recovers(own_server: PostgresServer, running: RunningService) -> None:
    with closing(running.user(timeout=60)) as me, running.client() as probe:
        with paused(own_server):
            assert probe.get("/health/live").status_code == 200
            assert comes_true(lambda: probe.get("/health/ready").status_code == 503, 5)
        assert comes_true(lambda: probe.get("/health/ready").status_code == 200, RECOVERY_SECONDS + 1)
        assert me.post("/v1/items/", json={"name": "a"}).status_code == 201


def test_acknowledged_changes_survive_crashes(
    own_server: PostgresServer, running: RunningService, tmp_path: Path
) -> None:
    with Load(running) as load:
        for _ in range(3):
            load.wait_for_answers(150)
            running.kill()
            own_server.kill()
            own_server.start()
            running.start()
    load.check_nothing_is_lost_or_doubled()
    assert load.acknowledged
