"""The metrics of the last minutes. Totals since the start of a service say little about its current state."""

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass

from core.admin_site.overview.figures import Samples, take_samples
from core.process.background import BackgroundTask
from core.telemetry import multiprocess

INTERVAL_SECONDS, KEPT = 60.0, 6

logger = logging.getLogger("agent_router.admin")


@dataclass(frozen=True, slots=True)
class Span:
    """The increase of the metrics in the last `seconds`, and their totals."""

    recent: Samples
    seconds: float
    whole: Samples


class Recent:
    """Takes samples of the metrics once a minute and keeps the last few. Opens and closes with the process."""

    def __init__(self) -> None:
        self._task = BackgroundTask("recent-metrics")
        self._samples: deque[tuple[float, Samples]] = deque(maxlen=KEPT)
        self._opened_at = time.monotonic()

    async def open(self) -> None:
        self._opened_at = time.monotonic()
        if multiprocess.is_active():  # other workers, or those before a restart, have already counted
            await self._take()
        else:
            self._samples.append((self._opened_at, Samples({})))
        self._task.start(self._run())

    async def close(self) -> None:
        await self._task.stop()
        self._samples.clear()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            await self._take()

    async def _take(self) -> None:
        try:
            samples = await asyncio.to_thread(take_samples)
        except Exception:  # the front page's figures must not end the service
            logger.warning("The metrics could not be read", exc_info=True)
        else:
            self._samples.append((time.monotonic(), samples))

    def span(self) -> Span:
        """Return the span since the oldest kept samples. This may read files, so do not call it on the event loop."""
        now, whole = time.monotonic(), take_samples()
        kept = list(self._samples)
        since, earlier = kept[0] if kept else (self._opened_at, Samples({}))
        return Span(whole - earlier, now - since, whole)


recent = Recent()
