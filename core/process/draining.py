"""The drain between SIGTERM and the end of the process."""

import asyncio
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from django.conf import settings

# How long open connections are still answered after SIGTERM, so that whatever a client had sent by then is read.
DRAIN_SECONDS = 1.0
# What the close of a resource gets even when SHUTDOWN_TIMEOUT_SECONDS are over.
LEAST_CLOSE_SECONDS = 0.5


class Draining:
    """Whether the process has been told to stop. Readiness and every response's `Connection` look at it."""

    def __init__(self) -> None:
        self.is_draining = False
        self.is_overdue = False
        self._is_drained = False
        self._ends_at: float | None = None
        # The tasks of the requests that are being answered.
        self.requests: set[asyncio.Task[None]] = set()

    def install(self) -> None:
        """Puts a second's drain in front of the server's own handling of SIGTERM and SIGINT.

        The server would close its idle connections at once, with requests of their clients still on the way. In the
        second between, each answer says `Connection: close`, and clients go elsewhere by themselves.
        """
        if threading.current_thread() is not threading.main_thread():
            return  # Python lets no other thread handle signals; then the server does not either
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            server = signal.getsignal(number)
            if callable(server):
                signal.signal(number, self._handler(loop, server))

    def _handler(self, loop: asyncio.AbstractEventLoop, server: Callable[[int, FrameType | None], Any]) -> Any:
        def end(number: int) -> None:
            self._is_drained = True
            server(number, None)

        def handle(number: int, frame: FrameType | None) -> None:
            if not self.is_draining:
                self.is_draining = True
                self._ends_at = time.monotonic() + settings.SHUTDOWN_TIMEOUT_SECONDS
                loop.call_soon_threadsafe(loop.call_later, DRAIN_SECONDS, end, number)
                loop.call_soon_threadsafe(loop.call_later, settings.SHUTDOWN_TIMEOUT_SECONDS, self._end_requests)
            elif self._is_drained or number == signal.SIGINT:
                server(number, frame)
            # Else it is the SIGTERM with which the parent of several workers passes on to them what the terminal or
            # systemd has sent to all of them already.

        return handle

    @property
    def left_seconds(self) -> float | None:
        """How long the process may still take to end; None as long as it was not told to."""
        return None if self._ends_at is None else max(self._ends_at - time.monotonic(), LEAST_CLOSE_SECONDS)

    def _end_requests(self) -> None:
        """Has requests that still run answered with 503: their time is over, and the server waits for them."""
        self.is_overdue = True
        for task in list(self.requests):
            task.cancel()


draining = Draining()
