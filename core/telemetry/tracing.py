"""Tracing with OpenTelemetry. Its exporter and instrumentation load only if OTEL_EXPORTER_OTLP_ENDPOINT is set."""

import asyncio
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from core.telemetry.tracing_setup import CommandClient

# An unreachable collector must not delay the exit any longer.
FLUSH_SECONDS = 5.0
POLL_SECONDS = 0.02


class Tracing:
    def __init__(self) -> None:
        self._provider: TracerProvider | None = None

    def start(self, redis: "CommandClient") -> None:
        """Instrument Django, the database drivers and the Redis client. Must run before the first connection opens."""
        if self._provider is None:
            from core.telemetry.tracing_setup import instrument, make_provider

            self._provider = make_provider()
            instrument(self._provider, redis)

    async def open(self) -> None:
        """Do nothing: the span middleware has called `start` if tracing is enabled."""

    async def close(self) -> None:
        """Send the waiting spans, for at most FLUSH_SECONDS."""
        if self._provider is None:
            return
        # A daemon thread does not delay the exit.
        thread = threading.Thread(target=self._provider.shutdown, name="tracing-flush", daemon=True)
        thread.start()
        deadline = time.monotonic() + FLUSH_SECONDS
        while thread.is_alive() and time.monotonic() < deadline:  # noqa: ASYNC110  # nothing awaitable ends with a thread
            await asyncio.sleep(POLL_SECONDS)


tracing = Tracing()
