"""What a worker prepares right after it has begun to serve, rather than before.

No answer waits for it: whatever is asked for earlier is prepared by whoever asks. So a worker is there sooner, and
the first who logs in or opens the admin is answered as fast as the next.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from core.process.background import BackgroundTask

# Beside the work of the first requests it would take some of their time.
AFTER_SECONDS = 0.5

logger = logging.getLogger("agent_router.lifespan")


class WarmUp:
    """A resource of the lifespan, after those that its jobs need. The jobs are done once, one after the other."""

    def __init__(self) -> None:
        self.jobs: Sequence[Callable[[], Awaitable[object]]] = ()
        self._task = BackgroundTask("warm-up")

    async def open(self) -> None:
        """Has the jobs done soon."""
        self._task.start(self._run())

    async def close(self) -> None:
        """Leaves out what has not begun."""
        await self._task.stop()

    async def _run(self) -> None:
        await asyncio.sleep(AFTER_SECONDS)
        for job in self.jobs:
            try:
                await job()
            except Exception:
                # Whoever needs it will be told so; an operator had better know at once.
                logger.exception("%s failed", job.__qualname__)
        logger.debug("Warmed up")


warm_up = WarmUp()
