"""The drain between SIGTERM and the end of the process."""

import asyncio
import signal
import threading
import time
from types import FrameType
from typing import Any

from django.conf import settings

# For this long after SIGTERM, open connections are still served, so that requests already sent are read.
DRAIN_SECONDS = 1.0
# Each component gets at least this long to close, even after SHUTDOWN_TIMEOUT_SECONDS.
MIN_CLOSE_SECONDS = 0.5


class Draining:
    """The state of the shutdown. Readiness reports it, and responses then say `Connection: close`."""

    def __init__(self) -> None:
        self.is_draining = False
        # SHUTDOWN_TIMEOUT_SECONDS have passed: requests that still run get 503.
        self.is_overdue = False
        # The tasks of the requests in flight.
        self.requests: set[asyncio.Task[None]] = set()
        self._has_drained = False
        self._deadline: float | None = None
        self._server_handlers: dict[int, Any] = {}
        self._loop: asyncio.AbstractEventLoop

    def install(self) -> None:
        """Delay the server's own handling of SIGTERM and SIGINT by DRAIN_SECONDS.

        The server would close idle connections at once, even if a client's request is already on its way.
        """
        if threading.current_thread() is not threading.main_thread():
            return  # Python handles signals in the main thread only.
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            if callable(handler := signal.getsignal(number)):
                self._server_handlers[number] = handler
                signal.signal(number, self._on_signal)

    @property
    def seconds_left(self) -> float | None:
        """Return the seconds that closing one component may take, or None before shutdown."""
        return None if self._deadline is None else max(self._deadline - time.monotonic(), MIN_CLOSE_SECONDS)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if not self.is_draining:
            self.is_draining = True
            self._deadline = time.monotonic() + settings.SHUTDOWN_TIMEOUT_SECONDS
            self._loop.call_soon_threadsafe(self._schedule_end, number)
        elif self._has_drained or number == signal.SIGINT:
            self._server_handlers[number](number, frame)
        # During the drain, ignore a second SIGTERM: the parent process forwards the one that the terminal or systemd
        # already sent to every worker.

    def _schedule_end(self, number: int) -> None:
        self._loop.call_later(DRAIN_SECONDS, self._end_drain, number)
        self._loop.call_later(settings.SHUTDOWN_TIMEOUT_SECONDS, self._end_requests)

    def _end_drain(self, number: int) -> None:
        self._has_drained = True
        self._server_handlers[number](number, None)

    def _end_requests(self) -> None:
        self.is_overdue = True
        for task in list(self.requests):
            task.cancel()


draining = Draining()
