"""Work that a process does once, shortly after it starts to serve."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from core.process.background import BackgroundTask

# The first requests should not compete with this work.
AFTER_SECONDS = 0.5

logger = logging.getLogger("agent_router.lifespan")


class WarmUp:
    """Runs the jobs one after the other in the background. A job that fails is logged."""

    def __init__(self, jobs: Sequence[Callable[[], Awaitable[object]]]) -> None:
        self._jobs = jobs
        self._task = BackgroundTask("warm-up")

    async def open(self) -> None:
        self._task.start(self._run())

    async def close(self) -> None:
        await self._task.stop()

    async def _run(self) -> None:
        await asyncio.sleep(AFTER_SECONDS)
        for job in self._jobs:
            try:
                await job()
            except Exception:
                logger.exception("%s failed", job.__qualname__)
        logger.debug("Warmed up")
