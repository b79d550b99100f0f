"""Tracing, only while OTEL_EXPORTER_OTLP_ENDPOINT is set. Otherwise OpenTelemetry is not even imported.

`core.telemetry.tracing_setup` configures the exporter; `core.middleware.server_span` makes the spans of requests.
"""

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from core.telemetry.tracing_setup import CommandClient

# How long the last spans may take to be sent. A collector that is gone must not keep the process from ending.
FLUSH_SECONDS = 5.0


class Tracing:
    """A resource of the lifespan: sends the last spans when the process ends."""

    def __init__(self) -> None:
        self._provider: TracerProvider | None = None

    def start(self, redis: "CommandClient") -> None:
        """Instrument Django, the database drivers and the Redis client. Must run before the first connection opens."""
        if self._provider is None:
            from core.telemetry.tracing_setup import instrument, make_provider

            self._provider = make_provider()
            instrument(self._provider, redis)

    async def open(self) -> None:
        """Nothing: the handler's middleware has started it already, if it is wanted."""

    async def close(self) -> None:
        """Sends what waits, for at most FLUSH_SECONDS."""
        if self._provider is None:
            return
        done, loop = asyncio.Event(), asyncio.get_running_loop()
        flush = partial(_flush, self._provider, partial(loop.call_soon_threadsafe, done.set))
        # A daemon, so that it does not keep the process from ending.
        threading.Thread(target=flush, name="tracing-flush", daemon=True).start()
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await done.wait()
        except TimeoutError:
            return


def _flush(provider: "TracerProvider", tell: Callable[[], object]) -> None:
    provider.shutdown()
    # The loop may have given up and be closed by now.
    try:
        tell()
    except RuntimeError:
        return


tracing = Tracing()
