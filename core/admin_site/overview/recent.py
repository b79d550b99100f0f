"""What the metrics were some minutes ago. Counts since the start of a service say little about how it is now."""

import asyncio
import logging
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from core.process.background import BackgroundTask
from core.telemetry import multiprocess

if TYPE_CHECKING:
    from core.admin_site.overview.figures import Samples

INTERVAL_SECONDS, KEPT = 60.0, 6

logger = logging.getLogger("agent_router.admin")


class Span(NamedTuple):
    """What was counted in so many seconds, and in all."""

    recent: "Samples"
    seconds: float
    whole: "Samples"


class Recent:
    """A resource of the lifespan: looks at the metrics once a minute, and keeps a few looks."""

    def __init__(self) -> None:
        self._task = BackgroundTask("recent-metrics")
        # None: nothing had been counted.
        self._looks: deque[tuple[float, Samples | None]] = deque(maxlen=KEPT)
        self._opened_at = time.monotonic()

    async def open(self) -> None:
        """Looks for the first time, and starts to do so again and again."""
        self._opened_at = time.monotonic()
        if multiprocess.is_active():  # other workers, or those before, have counted
            await self._look()
        else:
            self._looks.append((self._opened_at, None))
        self._task.start(self._run())

    async def close(self) -> None:
        """Stops."""
        await self._task.stop()
        self._looks.clear()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            await self._look()

    async def _look(self) -> None:
        try:
            samples = await asyncio.to_thread(_take_samples)
        except Exception:  # the console's figures must not end a service; the next look may be a better one
            logger.warning("The metrics could not be read", exc_info=True)
        else:
            self._looks.append((time.monotonic(), samples))

    def span(self) -> Span:
        """What was counted since the oldest look that is kept. Reads files: not for the event loop."""
        from core.admin_site.overview.figures import Samples

        now, whole = time.monotonic(), _take_samples()
        looks = list(self._looks)
        since, earlier = looks[0] if looks else (self._opened_at, None)
        return Span(whole - (earlier or Samples({})), now - since, whole)


def _take_samples() -> "Samples":
    from core.admin_site.overview.figures import take_samples

    return take_samples()


recent = Recent()
