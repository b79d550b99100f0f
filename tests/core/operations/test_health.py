"""The health endpoints, while dependencies fail and recover."""

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
    """Checks that are all up, which a test may replace, and no earlier report."""
    made: Checks = {"database": up, "migrations": up, "redis": up}
    monkeypatch.setattr(health, "CHECKS", made)
    monkeypatch.setattr(health, "readiness", Readiness())
    return made


def run_checks() -> Report:
    return asyncio.run(Readiness().report())


def test_live_depends_on_no_check(checks: Checks) -> None:
    checks["database"] = checks["redis"] = hang
    answer = fetch("/health/live")
    assert (answer.status, answer.json()) == (200, {"status": "live"})
    assert answer.headers["cache-control"] == "no-store"


def test_unused_replica_is_a_degradation(checks: Checks, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DB_REPLICAS = [{}]
    assert fetch("/health/ready").json()["checks"]["replicas"]["status"] == "up"
    monkeypatch.setattr(Database, "are_replicas_in_use", False)
    monkeypatch.setattr(health, "readiness", Readiness())
    answer = fetch("/health/ready")
    assert (answer.status, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["checks"]["replicas"]["status"] == "left out"


def test_ready_shows_status_and_latency_of_each_check(checks: Checks) -> None:
    answer = fetch("/health/ready")
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body["status"] == "ready"
    assert {name: one["status"] for name, one in body["checks"].items()} == dict.fromkeys(checks, "up")
    assert all(0 <= one["latency_ms"] < 1000 for one in body["checks"].values())


@pytest.mark.parametrize("failure", [down, unavailable, fail])
@pytest.mark.parametrize("name", ["database", "migrations"])
def test_failed_critical_check_makes_the_service_not_ready(
    checks: Checks, name: str, failure: Callable[[], Awaitable[str]]
) -> None:
    checks[name] = failure
    answer = fetch("/health/ready")
    assert answer.status == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert int(answer.headers["retry-after"]) >= 0
    body = answer.json()
    assert body["type"] == "/problems/service-unavailable"
    assert body["checks"][name]["status"] == "down"
    assert "boom" not in answer.text


def test_check_that_raises_is_logged(checks: Checks, caplog: pytest.LogCaptureFixture) -> None:
    checks["database"] = fail
    run_checks()
    assert "The check of database failed" in caplog.text
    assert "ValueError: boom" in caplog.text


@pytest.mark.parametrize(("required", "status"), [(False, 200), (True, 503)])
def test_redis_is_critical_only_if_required(checks: Checks, settings: Settings, required: bool, status: int) -> None:
    settings.REDIS_REQUIRED = required
    checks["redis"] = down
    answer = fetch("/health/ready")
    assert answer.status == status
    assert answer.json()["checks"]["redis"]["status"] == "down"
    assert answer.json()["status"] == (503 if required else "degraded")


def test_disabled_redis_is_no_degradation(checks: Checks) -> None:
    checks["redis"] = health.check_redis
    assert fetch("/health/ready").json()["status"] == "ready"
    assert run_checks().checks["redis"]["status"] == "disabled"


def test_checks_run_in_parallel_with_a_timeout(checks: Checks, settings: Settings) -> None:
    settings.HEALTH_TIMEOUT_SECONDS = 0.2
    checks |= dict.fromkeys(checks, hang)
    began = time.monotonic()
    report = run_checks()
    assert 0.19 < time.monotonic() - began < 0.55
    assert [one["status"] for one in report.checks.values()] == ["timeout"] * 3
    assert not report.is_ready


def test_probes_share_a_round_of_checks_for_a_second(checks: Checks, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = 0

    async def count() -> str:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0.01)
        return "up"

    checks["database"] = count

    async def main() -> None:
        readiness = Readiness()
        reports = await asyncio.gather(*(readiness.report() for _ in range(50)))
        assert (runs, len({id(report) for report in reports})) == (1, 1)
        await readiness.report()
        assert runs == 1
        monkeypatch.setattr(health, "CACHED_SECONDS", 0.0)
        await asyncio.gather(*(readiness.report() for _ in range(50)))
        assert runs == 2

    asyncio.run(main())


def test_cancelled_probe_does_not_cancel_the_checks_of_others(checks: Checks) -> None:
    started = asyncio.Event()

    async def slow() -> str:
        started.set()
        await asyncio.sleep(0.05)
        return "up"

    checks["database"] = slow

    async def main() -> None:
        readiness = Readiness()
        impatient = asyncio.create_task(readiness.report())
        patient = asyncio.create_task(readiness.report())
        await started.wait()
        impatient.cancel()
        assert (await patient).is_ready

    asyncio.run(main())


def test_draining_service_is_live_but_not_ready(checks: Checks, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fetch("/health/ready").status == 200
    monkeypatch.setattr(draining, "is_draining", True)
    answer = fetch("/health/ready")
    assert (answer.status, answer.json()["checks"]) == (503, {"draining": {"status": "down"}})
    assert fetch("/health/live").status == 200


def test_startup_succeeds_once_the_service_was_ready(checks: Checks) -> None:
    checks["migrations"] = down
    assert fetch("/health/startup").status == 503
    checks["migrations"] = up
    health.readiness._checking = None
    assert fetch("/health/startup").status == 200
    checks["database"] = down
    health.readiness._checking = None
    assert fetch("/health/ready").status == 503
    answer = fetch("/health/startup")
    assert (answer.status, answer.json()) == (200, {"status": "started"})


def test_head_is_supported(service: RunningService) -> None:
    for path in ("/health/live", "/health/ready", "/health/startup"):
        answer = httpx.head(service.url + path, trust_env=False)
        assert (answer.status_code, answer.content) == (200, b"")


def checks_of(service: RunningService) -> dict[str, str]:
    body = httpx.get(f"{service.url}/health/ready", trust_env=False).json()
    return {name: one["status"] for name, one in body["checks"].items()}


@pytest.mark.slow
def test_pending_migrations_make_the_service_not_ready(start: Callable[..., RunningService]) -> None:
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
def test_readiness_follows_a_redis_that_fails_and_recovers(
    start: Callable[..., RunningService], required: str, status: int
) -> None:
    with RedisServer() as server:
        service = start(REDIS_URL=server.url, REDIS_REQUIRED=required)
        assert comes_true(lambda: checks_of(service)["redis"] == "up", 10)
        server.kill()
        assert comes_true(lambda: checks_of(service)["redis"] == "down", 5)
        assert httpx.get(f"{service.url}/health/ready", trust_env=False).status_code == status
        assert httpx.get(f"{service.url}/health/live", trust_env=False).status_code == 200
        server.start()
        assert comes_true(lambda: checks_of(service)["redis"] == "up", 10)
