"""Checks for pending migrations until none are left, so that /metrics reports them without any health probe."""

import asyncio
from contextlib import suppress

from core.http.problems import Problem
from core.operations.health import check_migrations, readiness
from core.process.background import BackgroundTask
from core.process.warm_up import AFTER_SECONDS

INTERVAL_SECONDS = 15.0


class MigrationsWatch:
    """Opens after the database."""

    def __init__(self) -> None:
        self._task = BackgroundTask("migrations-watch")

    async def open(self) -> None:
        self._task.start(self._run())

    async def close(self) -> None:
        await self._task.stop()

    async def _run(self) -> None:
        # The first check reads all migrations, which should not delay the first requests.
        await asyncio.sleep(AFTER_SECONDS)
        while not readiness.is_migrated:
            with suppress(Problem):  # the readiness check reports an unreachable database
                await check_migrations()
            await asyncio.sleep(INTERVAL_SECONDS)
