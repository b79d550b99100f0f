"""Metrics of the last backup. Each process reads them from the database at intervals."""

import asyncio
import logging

from prometheus_client import Gauge

from core.database.pool import database
from core.operations.backup.models import LastBackup
from core.process.background import BackgroundComponent

INTERVAL_SECONDS = 30.0

CREATED_AT = Gauge(
    "backup_last_success_timestamp_seconds",
    "Start of the newest good backup, in seconds since 1970; 0 without a backup",
    multiprocess_mode="livemax",
)
SIZE_BYTES = Gauge("backup_last_size_bytes", "Size of the newest good backup", multiprocess_mode="livemax")
SECONDS = Gauge("backup_last_duration_seconds", "Duration of the newest good backup", multiprocess_mode="livemax")

logger = logging.getLogger("agent_router.backup")


class BackupWatch(BackgroundComponent):
    """Opens after the database."""

    async def run(self) -> None:
        while True:
            try:
                set_gauges(await database.read(LastBackup.objects.first))
            except Exception as error:
                # The readiness check reports an unreachable or unmigrated database. The gauges keep their values.
                logger.debug("The last backup could not be read: %s", error)
            await asyncio.sleep(INTERVAL_SECONDS)


def set_gauges(last: LastBackup | None) -> None:
    if last is not None:
        CREATED_AT.set(last.created_at.timestamp())
        SIZE_BYTES.set(last.size_bytes)
        SECONDS.set(last.seconds)
