"""The ASGI lifespan: open the components when the process starts, close them when it stops."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from core.process.draining import draining

type Receive = Callable[[], Awaitable[Any]]
type Send = Callable[[dict[str, Any]], Awaitable[None]]

logger = logging.getLogger("agent_router.lifespan")


class Component(Protocol):
    """A part of the process that opens and closes with it: a pool, a client, a background task."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...


class Lifespan:
    """Opens the components in order and closes them in reverse order."""

    def __init__(self, components: Sequence[Component]) -> None:
        self.components = components

    async def run(self, receive: Receive, send: Send) -> None:
        """Serve the ASGI lifespan protocol. If a component does not open, report the reason and close the others."""
        opened: list[Component] = []
        await receive()
        try:
            for component in self.components:
                await component.open()
                opened.append(component)
        except Exception as error:
            logger.exception("The service could not start")
            await _close(opened)
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        draining.install()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await _close(opened)
        await send({"type": "lifespan.shutdown.complete"})


async def _close(opened: list[Component]) -> None:
    for component in reversed(opened):
        name = type(component).__name__
        try:
            async with asyncio.timeout(draining.seconds_left):
                await component.close()
        except TimeoutError:
            logger.warning("%s did not close within SHUTDOWN_TIMEOUT_SECONDS", name)
        except Exception:
            logger.exception("%s could not be closed", name)
