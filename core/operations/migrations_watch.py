"""Looks whether migrations are pending until none are, so that /metrics tells of it if no probe asks."""

import asyncio
from contextlib import suppress

from core.http.problems import Problem
from core.operations.health import check_migrations, readiness
from core.process.background import BackgroundTask
from core.process.warm_up import AFTER_SECONDS

INTERVAL_SECONDS = 15.0


class MigrationsWatch:
    """A resource of the lifespan. After the database in order."""

    def __init__(self) -> None:
        self._task = BackgroundTask("migrations-watch")

    async def open(self) -> None:
        """Starts to look."""
        self._task.start(self._run())

    async def close(self) -> None:
        """Stops."""
        await self._task.stop()

    async def _run(self) -> None:
        # The first look reads every migration: not while the first requests are answered.
        await asyncio.sleep(AFTER_SECONDS)
        while not readiness.is_migrated:
            with suppress(Problem):  # out of reach: readiness tells of that
                await check_migrations()
            await asyncio.sleep(INTERVAL_SECONDS)
