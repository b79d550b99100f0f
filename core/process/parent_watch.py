"""A worker whose parent is gone ends: nobody would replace it, or tell it to stop, and it would keep the port."""

import asyncio
import logging
import os
import signal
from multiprocessing import parent_process

logger = logging.getLogger("agent_router.orphans")


class ParentWatch:
    """A resource of the lifespan, for one of several workers; a process alone has no parent to lose."""

    def __init__(self) -> None:
        self._sentinel = -1

    async def open(self) -> None:
        """Begins to watch. The sentinel becomes readable when the parent ends, in whatever way."""
        if (parent := parent_process()) is not None:
            self._sentinel = int(parent.sentinel)
            asyncio.get_running_loop().add_reader(self._sentinel, self._end)

    async def close(self) -> None:
        """Ends the watch."""
        self._stop()

    def _stop(self) -> None:
        if self._sentinel >= 0:
            asyncio.get_running_loop().remove_reader(self._sentinel)
            self._sentinel = -1

    def _end(self) -> None:
        self._stop()
        logger.error("The process that started the workers is gone: this one stops, too")
        os.kill(os.getpid(), signal.SIGTERM)


parent_watch = ParentWatch()
