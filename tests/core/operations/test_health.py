"""What the probes are told, while dependencies fail and come back."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import httpx
import pytest
from pytest_django import Settings

from core.database.pool import Database
from core.http.problems import ServiceUnavailable
from core.operations import health
from core.operations.health import Readiness, Report
from core.process.draining import draining
from tests.asgi_client import fetch
from tests.redis_server import RedisServer
from tests.running_service import RunningService
from tests.waiting import comes_true

type Checks = dict[str, Callable[[], Awaitable[str]]]


async def up() -> str:
    return "up"


async def down() -> str:
    return "down"


async def unavailable() -> str:
    raise ServiceUnavailable


async def fail() -> str:
    raise ValueError("boom")


async def hang() -> str:
    await asyncio.sleep(60)
    return "up"


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Checks:
    """The checks of this test, all up to begin with, and nothing known of earlier looks."""
    made: Checks = {"database": up, "migrations": up, "redis": up}
    monkeypatch.setattr(health, "CHECKS", made)
    monkeypatch.setattr(health, "readiness", Readiness())
    return made


def look() -> Report:
    return asyncio.run(Readiness().report())


def test_live_looks_at_nothing(checks: Checks) -> None:
    checks["database"] = checks["redis"] = hang
    answer = fetch("/health/live")
    assert (answer.status, answer.json()) == (200, {"status": "live"})
    assert answer.headers["cache-control"] == "no-store"


def test_replica_that_is_left_out_degrades_and_no_more(
    checks: Checks, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DB_REPLICAS = [{}]
    assert fetch("/health/ready").json()["checks"]["replicas"]["status"] == "up"
    monkeypatch.setattr(Database, "are_replicas_in_use", False)
    monkeypatch.setattr(health, "readiness", Readiness())
    answer = fetch("/health/ready")
    assert (answer.status, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["checks"]["replicas"]["status"] == "left out"


def test_ready_tells_each_check_and_its_latency(checks: Checks) -> None:
    answer = fetch("/health/ready")
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body["status"] == "ready"
    assert {name: one["status"] for name, one in body["checks"].items()} == dict.fromkeys(checks, "up")
    assert all(0 <= one["latency_ms"] < 1000 for one in body["checks"].values())


@pytest.mark.parametrize("how", [down, unavailable, fail])
@pytest.mark.parametrize("name", ["database", "migrations"])
def test_what_every_request_needs_makes_it_not_ready(
    checks: Checks, name: str, how: Callable[[], Awaitable[str]]
) -> None:
    checks[name] = how
    answer = fetch("/health/ready")
    assert answer.status == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert int(answer.headers["retry-after"]) >= 0
    body = answer.json()
    assert body["type"] == "/problems/service-unavailable"
    assert body["checks"][name]["status"] == "down"
    assert "boom" not in answer.text


def test_check_that_fails_unexpectedly_is_logged(checks: Checks, caplog: pytest.LogCaptureFixture) -> None:
    checks["database"] = fail
    look()
    assert "The check of database failed" in caplog.text
    assert "ValueError: boom" in caplog.text


@pytest.mark.parametrize(("required", "status"), [(False, 200), (True, 503)])
def test_redis_counts_as_far_as_it_is_required(checks: Checks, settings: Settings, required: bool, status: int) -> None:
    settings.REDIS_REQUIRED = required
    checks["redis"] = down
    answer = fetch("/health/ready")
    assert answer.status == status
    assert answer.json()["checks"]["redis"]["status"] == "down"
    assert answer.json()["status"] == (503 if required else "degraded")


def test_no_redis_is_no_degradation(checks: Checks) -> None:
    checks["redis"] = health.check_redis
    assert fetch("/health/ready").json()["status"] == "ready"
    assert look().checks["redis"]["status"] == "disabled"


def test_checks_run_side_by_side_and_not_for_ever(checks: Checks, settings: Settings) -> None:
    settings.HEALTH_TIMEOUT_SECONDS = 0.2
    checks |= dict.fromkeys(checks, hang)
    began = time.monotonic()
    report = look()
    assert 0.19 < time.monotonic() - began < 0.55
    assert [one["status"] for one in report.checks.values()] == ["timeout"] * 3
    assert not report.is_ready


def test_many_probes_share_one_look_for_a_second(checks: Checks, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    async def count() -> str:
        nonlocal looks
        looks += 1
        await asyncio.sleep(0.01)
        return "up"

    checks["database"] = count

    async def main() -> None:
        one = Readiness()
        reports = await asyncio.gather(*(one.report() for _ in range(50)))
        assert (looks, len({id(report) for report in reports})) == (1, 1)
        await one.report()
        assert looks == 1
        monkeypatch.setattr(health, "CACHED_SECONDS", 0.0)
        await asyncio.gather(*(one.report() for _ in range(50)))
        assert looks == 2

    asyncio.run(main())


def test_probe_that_leaves_takes_the_look_from_nobody(checks: Checks) -> None:
    started = asyncio.Event()

    async def slow() -> str:
        started.set()
        await asyncio.sleep(0.05)
        return "up"

    checks["database"] = slow

    async def main() -> None:
        one = Readiness()
        impatient = asyncio.create_task(one.report())
        patient = asyncio.create_task(one.report())
        await started.wait()
        impatient.cancel()
        assert (await patient).is_ready

    asyncio.run(main())


def test_draining_is_not_ready_but_live(checks: Checks, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fetch("/health/ready").status == 200
    monkeypatch.setattr(draining, "is_draining", True)
    answer = fetch("/health/ready")
    assert (answer.status, answer.json()["checks"]) == (503, {"draining": {"status": "down"}})
    assert fetch("/health/live").status == 200


def test_startup_is_over_once_it_was_ready(checks: Checks) -> None:
    checks["migrations"] = down
    assert fetch("/health/startup").status == 503
    checks["migrations"] = up
    health.readiness._look = None
    assert fetch("/health/startup").status == 200
    checks["database"] = down
    health.readiness._look = None
    assert fetch("/health/ready").status == 503
    answer = fetch("/health/startup")
    assert (answer.status, answer.json()) == (200, {"status": "started"})


def test_head_is_answered_as_get_is(service: RunningService) -> None:
    for path in ("/health/live", "/health/ready", "/health/startup"):
        answer = httpx.head(service.url + path, trust_env=False)
        assert (answer.status_code, answer.content) == (200, b"")


def checks_of(service: RunningService) -> dict[str, str]:
    body = httpx.get(f"{service.url}/health/ready", trust_env=False).json()
    return {name: one["status"] for name, one in body["checks"].items()}


@pytest.mark.slow
def test_pending_migrations_show_until_they_are_applied(start: Callable[..., RunningService]) -> None:
    service = start()
    assert checks_of(service) == {"database": "up", "migrations": "up", "redis": "disabled"}
    service.stop()
    service.manage("migrate", "items", "zero", "--verbosity=0")
    service.start()
    answer = httpx.get(f"{service.url}/health/ready", trust_env=False)
    assert (answer.status_code, answer.json()["checks"]["migrations"]["status"]) == (503, "pending")
    service.manage("migrate", "--verbosity=0")
    assert comes_true(lambda: checks_of(service)["migrations"] == "up", 5)
    metrics = httpx.get(f"{service.url}/metrics", trust_env=False).text
    assert 'django_migrations_unapplied_total{connection="default"} 0.0' in metrics


@pytest.mark.slow
@pytest.mark.parametrize(("required", "status"), [("false", 200), ("true", 503)])
def test_redis_that_dies_shows_and_comes_back(start: Callable[..., RunningService], required: str, status: int) -> None:
    with RedisServer() as server:
        service = start(REDIS_URL=server.url, REDIS_REQUIRED=required)
        assert comes_true(lambda: checks_of(service)["redis"] == "up", 10)
        server.kill()
        assert comes_true(lambda: checks_of(service)["redis"] == "down", 5)
        assert httpx.get(f"{service.url}/health/ready", trust_env=False).status_code == status
        assert httpx.get(f"{service.url}/health/live", trust_env=False).status_code == 200
        server.start()
        assert comes_true(lambda: checks_of(service)["redis"] == "up", 10)
