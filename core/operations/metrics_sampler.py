"""Metrics that must be sampled: event loop lag, database threads, requests in flight, dropped log lines.

Each worker samples itself, because a worker that answers a scrape reads only what the others have recorded.
"""

import asyncio
import logging
import platform
import time

import django
from django.conf import settings

from core.database import metrics as database_metrics
from core.database.pool import database
from core.process.background import BackgroundTask
from core.server.admission import admission
from core.telemetry import metrics, multiprocess
from core.telemetry.log_writer import stdout

INTERVAL_SECONDS = 0.5

logger = logging.getLogger("agent_router.metrics")


class Sampler:
    """Samples every INTERVAL_SECONDS, and with each scrape. Opens after the database."""

    def __init__(self) -> None:
        self._task = BackgroundTask("metrics-sampler")
        self._counted_drops = 0

    async def open(self) -> None:
        metrics.BUILD_INFO.labels(settings.APP_VERSION, django.get_version(), platform.python_version()).set(1)
        if multiprocess.is_missing():
            logger.warning("Each worker reports only its own metrics: PROMETHEUS_MULTIPROC_DIR is not set")
        self._task.start(self._run())

    async def close(self) -> None:
        await self._task.stop()
        multiprocess.sign_off()

    async def _run(self) -> None:
        while True:
            due = time.monotonic() + INTERVAL_SECONDS
            await asyncio.sleep(INTERVAL_SECONDS)
            metrics.LOOP_LAG_SECONDS.observe(max(0.0, time.monotonic() - due))
            self.sample()

    def sample(self) -> None:
        metrics.REQUESTS_IN_FLIGHT.set(admission.in_flight)
        stats = database.stats()
        database_metrics.POOL_SIZE.set(stats["size"])
        database_metrics.POOL_JOBS.set(stats["jobs"])
        dropped = stdout.dropped_lines
        metrics.LOG_LINES_DROPPED.inc(dropped - self._counted_drops)
        self._counted_drops = dropped


sampler = Sampler()
