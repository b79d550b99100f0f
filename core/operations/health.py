"""Health: /health/live looks at nothing but the process, /health/ready at what a request needs, and
/health/startup at whether it has ever been ready.

Probes come from several sides and often: one look, in parallel and with a time limit for each check, answers
all of them for a second.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import orjson
from django.conf import settings
from django.db import connection
from django.http import HttpResponse

from core.database.pool import database
from core.http.problems import Problem, ServiceUnavailable
from core.http.request import Request
from core.process.draining import draining
from core.redis.client import redis

CACHED_SECONDS = 1.0
NOT_STORED = {"Cache-Control": "no-store"}

logger = logging.getLogger("agent_router.health")

type Check = Callable[[], Awaitable[str]]


class Report(NamedTuple):
    """What one look found. A check that is not up makes the service degraded, a critical one not ready."""

    checks: dict[str, dict[str, Any]]
    is_ready: bool
    is_degraded: bool


class Readiness:
    """Looks at the dependencies, at most once a second."""

    def __init__(self) -> None:
        self.was_ready = self.is_migrated = False
        self._look: asyncio.Task[Report] | None = None
        self._looked_at = 0.0

    async def report(self) -> Report:
        """The last look, or a new one if that is over CACHED_SECONDS old. All who ask meanwhile share it."""
        task = self._look
        is_over = task is not None and task.done() and time.monotonic() - self._looked_at > CACHED_SECONDS
        if task is None or is_over or task.get_loop() is not asyncio.get_running_loop():
            task = self._look = asyncio.create_task(self._check_all(), name="readiness")
        # A probe that gives up must not take the look from the others.
        return await asyncio.shield(task)

    async def _check_all(self) -> Report:
        checks = CHECKS | ({"replicas": check_replicas} if settings.DB_REPLICAS else {})
        results = await asyncio.gather(*(_timed(name, check) for name, check in checks.items()))
        found = dict(zip(checks, results, strict=True))
        critical = {"database", "migrations"} | ({"redis"} if settings.REDIS_REQUIRED else set())
        is_ready = all(found[name]["status"] == "up" for name in critical)
        is_degraded = any(one["status"] not in ("up", "disabled") for one in found.values())
        self.was_ready = self.was_ready or is_ready
        self._looked_at = time.monotonic()
        return Report(found, is_ready, is_degraded)


async def _timed(name: str, check: Check) -> dict[str, Any]:
    """A check's status and how long it took. It never raises: a check that does is one that is down."""
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
    """Whether a query is answered."""
    await database.read(_select_one)
    return "up"


def _select_one() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


async def check_migrations() -> str:
    """Whether the schema is the code's. Once it is, it stays so for the life of the process."""
    if not readiness.is_migrated:
        readiness.is_migrated = await database.read(_count_pending_migrations) == 0
    return "up" if readiness.is_migrated else "pending"


def _count_pending_migrations() -> int:
    # No answer of a start needs them.
    from django.db.migrations.executor import MigrationExecutor
    from django_prometheus.migrations import ExportMigrationsForDatabase

    executor = MigrationExecutor(connection)
    ExportMigrationsForDatabase(connection.alias, executor)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


async def check_redis() -> str:
    """Whether Redis answers; "disabled" without a REDIS_URL."""
    if redis.state == "disabled":
        return "disabled"
    return "up" if await redis.ping() else "down"


async def check_replicas() -> str:
    """Whether every read replica is in use. The primary takes the reads of one that is not."""
    return "up" if database.are_replicas_in_use else "left out"


CHECKS: dict[str, Check] = {
    "database": check_database,
    "migrations": check_migrations,
    "redis": check_redis,
}
readiness = Readiness()


async def live(request: Request) -> HttpResponse:
    """GET /health/live: the process answers. A failing dependency is no reason to restart it."""
    return _json({"status": "live"})


async def ready(request: Request) -> HttpResponse:
    """GET /health/ready. Raises ServiceUnavailable with `checks` when requests should go elsewhere."""
    if draining.is_draining:
        raise _unavailable("The service is stopping", {"draining": {"status": "down"}})
    report = await readiness.report()
    if not report.is_ready:
        raise _unavailable("The service is not ready", report.checks)
    return _json({"status": "degraded" if report.is_degraded else "ready", "checks": report.checks})


async def startup(request: Request) -> HttpResponse:
    """GET /health/startup: the service has been ready once. Raises ServiceUnavailable until then."""
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
