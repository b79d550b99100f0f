"""Checks for pending migrations until none are left, so that /metrics reports them without any health probe."""

import asyncio
from contextlib import suppress

from core.http.problems import Problem
from core.operations.health import check_migrations, readiness
from core.process.background import BackgroundComponent
from core.process.warm_up import AFTER_SECONDS

INTERVAL_SECONDS = 15.0


class MigrationsWatch(BackgroundComponent):
    """Opens after the database."""

    async def run(self) -> None:
        # The first check reads all migrations, which should not delay the first requests.
        await asyncio.sleep(AFTER_SECONDS)
        while not readiness.is_migrated:
            with suppress(Problem):  # the readiness check reports an unreachable database
                await check_migrations()
            await asyncio.sleep(INTERVAL_SECONDS)
