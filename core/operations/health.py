"""GET /health/live, /health/ready and /health/startup. Probes within a second share one round of checks."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpResponse
from django_prometheus.migrations import ExportMigrationsForDatabase

from core.database.pool import database
from core.http.problems import Problem, ServiceUnavailable
from core.http.request import Request
from core.process.draining import draining
from core.redis.client import redis

CACHED_SECONDS = 1.0
NOT_STORED = {"Cache-Control": "no-store"}

logger = logging.getLogger("agent_router.health")

type Check = Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Report:
    """The result of one round of checks. `checks` holds the status and latency of each check by name."""

    checks: dict[str, dict[str, Any]]
    is_ready: bool
    is_degraded: bool


class Readiness:
    """Runs the checks, at most once per CACHED_SECONDS."""

    def __init__(self) -> None:
        self.was_ready = False
        self.is_migrated = False
        self._checking: asyncio.Task[Report] | None = None
        self._checked_at = 0.0

    async def report(self) -> Report:
        if self._checking is None or self._is_outdated(self._checking):
            self._checking = asyncio.create_task(self._check_all(), name="readiness")
        # Other probes may wait for the same task when this one disconnects.
        return await asyncio.shield(self._checking)

    def _is_outdated(self, task: asyncio.Task[Report]) -> bool:
        is_over = task.done() and time.monotonic() - self._checked_at > CACHED_SECONDS
        return is_over or task.get_loop() is not asyncio.get_running_loop()

    async def _check_all(self) -> Report:
        checks = CHECKS | ({"replicas": check_replicas} if settings.DB_REPLICAS else {})
        results = await asyncio.gather(*(_run(name, check) for name, check in checks.items()))
        found = dict(zip(checks, results, strict=True))
        critical = {"database", "migrations"} | ({"redis"} if settings.REDIS_REQUIRED else set())
        is_ready = all(found[name]["status"] == "up" for name in critical)
        is_degraded = any(result["status"] not in ("up", "disabled") for result in results)
        self.was_ready = self.was_ready or is_ready
        self._checked_at = time.monotonic()
        return Report(found, is_ready, is_degraded)


async def _run(name: str, check: Check) -> dict[str, Any]:
    began = time.perf_counter()
    try:
        async with asyncio.timeout(settings.HEALTH_TIMEOUT_SECONDS):
            status = await check()
    except TimeoutError:
        status = "timeout"
    except Problem:
        status = "down"
    except Exception:
        logger.exception("The check of %s failed", name)
        status = "down"
    return {"status": status, "latency_ms": round((time.perf_counter() - began) * 1000, 3)}


async def check_database() -> str:
    await database.read(_select_one)
    return "up"


def _select_one() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


async def check_migrations() -> str:
    """Return "pending" until all migrations are applied. Applied migrations are not checked again."""
    if not readiness.is_migrated:
        readiness.is_migrated = await database.read(_count_pending_migrations) == 0
    return "up" if readiness.is_migrated else "pending"


def _count_pending_migrations() -> int:
    executor = MigrationExecutor(connection)
    ExportMigrationsForDatabase(connection.alias, executor)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


async def check_redis() -> str:
    if redis.state == "disabled":
        return "disabled"
    return "up" if await redis.ping() else "down"


async def check_replicas() -> str:
    """Return "left out" while the primary serves the reads of at least one replica."""
    return "up" if database.are_replicas_in_use else "left out"


CHECKS: dict[str, Check] = {
    "database": check_database,
    "migrations": check_migrations,
    "redis": check_redis,
}
readiness = Readiness()


async def live(request: Request) -> HttpResponse:
    """GET /health/live: always 200, because a restart does not repair a dependency."""
    return _json({"status": "live"})


async def ready(request: Request) -> HttpResponse:
    """GET /health/ready. Raises ServiceUnavailable, with `checks`, if the process should get no requests."""
    if draining.is_draining:
        raise _unavailable("The service is stopping", {"draining": {"status": "down"}})
    report = await readiness.report()
    if not report.is_ready:
        raise _unavailable("The service is not ready", report.checks)
    return _json({"status": "degraded" if report.is_degraded else "ready", "checks": report.checks})


async def startup(request: Request) -> HttpResponse:
    """GET /health/startup. Raises ServiceUnavailable until the service has been ready once."""
    if not readiness.was_ready:
        report = await readiness.report()
        if not report.is_ready:
            raise _unavailable("The service has not started yet", report.checks)
    return _json({"status": "started"})


def _unavailable(detail: str, checks: dict[str, Any]) -> ServiceUnavailable:
    problem = ServiceUnavailable(detail, checks=checks)
    problem.headers |= NOT_STORED
    return problem


def _json(body: dict[str, Any]) -> HttpResponse:
    return HttpResponse(orjson.dumps(body), content_type="application/json", headers=NOT_STORED)
