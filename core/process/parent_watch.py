"""Stop a worker when its parent process has died.

An orphaned worker would keep the port, and nothing would restart or stop it.
"""

import asyncio
import logging
import os
import signal
from multiprocessing import parent_process

logger = logging.getLogger("agent_router.parent_watch")


class ParentWatch:
    """Watches the parent of a worker. Does nothing in a process that serves alone."""

    def __init__(self) -> None:
        self._sentinel = -1

    async def open(self) -> None:
        if (parent := parent_process()) is not None:
            # The sentinel becomes readable when the parent ends.
            self._sentinel = int(parent.sentinel)
            asyncio.get_running_loop().add_reader(self._sentinel, self._stop_worker)

    async def close(self) -> None:
        self._stop_watching()

    def _stop_watching(self) -> None:
        if self._sentinel >= 0:
            asyncio.get_running_loop().remove_reader(self._sentinel)
            self._sentinel = -1

    def _stop_worker(self) -> None:
        self._stop_watching()
        logger.error("The parent process has died: this worker stops")
        os.kill(os.getpid(), signal.SIGTERM)
