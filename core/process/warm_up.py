"""Work that a process does once, shortly after it starts to serve."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from core.process.background import BackgroundComponent

# The first requests should not compete with this work.
AFTER_SECONDS = 0.5

logger = logging.getLogger("agent_router.lifespan")


class WarmUp(BackgroundComponent):
    """Runs the jobs one after the other. A job that fails is logged."""

    def __init__(self, jobs: Sequence[Callable[[], Awaitable[object]]]) -> None:
        super().__init__()
        self._jobs = jobs

    async def run(self) -> None:
        await asyncio.sleep(AFTER_SECONDS)
        for job in self._jobs:
            try:
                await job()
            except Exception:
                logger.exception("%s failed", job.__qualname__)
        logger.debug("Warmed up")
