"""What is opened when a process starts to serve and closed when it stops; and the drain between SIGTERM and that."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from core.process.draining import draining

logger = logging.getLogger("agent_router.lifespan")


class Resource(Protocol):
    """A pool, client or writer with an owner."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...


class Lifespan:
    """The ASGI lifespan protocol: `resources` are opened in order and closed in reverse."""

    def __init__(self) -> None:
        self.resources: Sequence[Resource] = ()

    async def run(
        self, receive: Callable[[], Awaitable[dict[str, Any]]], send: Callable[[dict[str, Any]], Awaitable[None]]
    ) -> None:
        """Opens at startup, closes at shutdown. A resource that does not open ends the start with its reason."""
        opened: list[Resource] = []
        await receive()
        try:
            for resource in self.resources:
                await resource.open()
                opened.append(resource)
        except Exception as error:
            logger.exception("The service could not start")
            await self._close(opened)
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        draining.install()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._close(opened)
        await send({"type": "lifespan.shutdown.complete"})

    async def _close(self, opened: list[Resource]) -> None:
        for resource in reversed(opened):
            try:
                async with asyncio.timeout(draining.left_seconds):
                    await resource.close()
            except TimeoutError:
                # A database that does not answer, most likely: what it is asked then ends with the process.
                logger.warning("%s was not closed within SHUTDOWN_TIMEOUT_SECONDS", type(resource).__name__)
            except Exception:
                logger.exception("%s could not be closed", type(resource).__name__)


lifespan = Lifespan()
