"""What has to be looked at to be measured: the loop's lag, the database's threads, requests in flight.

Each worker looks at itself, as whoever answers a scrape can only read what the others have written down.
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
    """A resource of the lifespan. After the database in order."""

    def __init__(self) -> None:
        self._task = BackgroundTask("metrics-sampler")
        self._reported_lines = 0

    async def open(self) -> None:
        """Starts to look twice a second."""
        what_runs = (settings.APP_VERSION, django.get_version(), platform.python_version())
        metrics.BUILD_INFO.labels(*what_runs).set(1)
        if multiprocess.is_missing():
            logger.warning("Each worker reports only its own metrics: PROMETHEUS_MULTIPROC_DIR is not set")
        self._task.start(self._run())

    async def close(self) -> None:
        """Stops, and withdraws what only holds for a living process."""
        await self._task.stop()
        multiprocess.sign_off()

    async def _run(self) -> None:
        while True:
            due = time.monotonic() + INTERVAL_SECONDS
            await asyncio.sleep(INTERVAL_SECONDS)
            metrics.LOOP_LAG_SECONDS.observe(max(0.0, time.monotonic() - due))
            self.sample()

    def sample(self) -> None:
        """Writes down how things are right now."""
        metrics.REQUESTS_IN_FLIGHT.set(admission.in_flight)
        database_metrics.flush()
        stats = database.stats()
        database_metrics.POOL_SIZE.set(stats["size"])
        database_metrics.POOL_JOBS.set(stats["jobs"])
        dropped = stdout.dropped_lines
        metrics.LOG_LINES_DROPPED.inc(dropped - self._reported_lines)
        self._reported_lines = dropped


sampler = Sampler()
