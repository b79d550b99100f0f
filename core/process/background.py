"""A task that a resource of the lifespan owns: it begins when that opens, and has ended when that is closed."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class BackgroundTask:
    """One task at a time, by a name that shows in asyncio's own messages."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._task: asyncio.Task[None] | None = None

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Begins the work, on the running loop."""
        self._task = asyncio.create_task(work, name=self._name)

    async def stop(self) -> None:
        """Cancels the work and waits for its end, however it ends. Does nothing if none was begun."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
