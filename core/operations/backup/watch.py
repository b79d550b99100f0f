"""The age of the last backup, for /metrics. Each process looks it up in the database now and then."""

import asyncio
import logging

from prometheus_client import Gauge

from core.database.pool import database
from core.operations.backup.models import LastBackup
from core.process.background import BackgroundTask

INTERVAL_SECONDS = 30.0

CREATED_AT = Gauge(
    "backup_last_success_timestamp_seconds",
    "When the newest good backup was begun, in seconds since 1970; 0: there is none",
    multiprocess_mode="livemax",
)
SIZE_BYTES = Gauge("backup_last_size_bytes", "Size of the newest good backup", multiprocess_mode="livemax")
SECONDS = Gauge("backup_last_duration_seconds", "How long the newest good backup took", multiprocess_mode="livemax")

logger = logging.getLogger("agent_router.backup")


class BackupWatch:
    """A resource of the lifespan. After the database in order."""

    def __init__(self) -> None:
        self._task = BackgroundTask("backup-watch")

    async def open(self) -> None:
        """Starts to look."""
        self._task.start(self._run())

    async def close(self) -> None:
        """Stops."""
        await self._task.stop()

    async def _run(self) -> None:
        while True:
            try:
                tell(await database.read(LastBackup.objects.first))
            except Exception as error:
                # Not migrated yet, or out of reach: readiness tells of that, and the last value stays.
                logger.debug("The last backup could not be looked up: %s", error)
            await asyncio.sleep(INTERVAL_SECONDS)


def tell(last: LastBackup | None) -> None:
    """Sets the gauges."""
    if last is not None:
        CREATED_AT.set(last.created_at.timestamp())
        SIZE_BYTES.set(last.size_bytes)
        SECONDS.set(last.seconds)
