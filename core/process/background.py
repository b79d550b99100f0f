"""Background tasks of components."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from typing import Any


class BackgroundTask:
    """One asyncio task, which its component starts when it opens and stops when it closes."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._task: asyncio.Task[None] | None = None

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = asyncio.create_task(work, name=self._name)

    async def stop(self) -> None:
        """Cancel the task and wait until it has ended. Its exceptions are discarded."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


class BackgroundComponent(ABC):
    """A component that consists of one background task."""

    def __init__(self) -> None:
        self._task = BackgroundTask(type(self).__name__)

    async def open(self) -> None:
        self._task.start(self.run())

    async def close(self) -> None:
        await self._task.stop()

    @abstractmethod
    async def run(self) -> None: ...
