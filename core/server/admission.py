"""Admission: only a few requests begin in each turn of the event loop; the others wait in order of arrival.

If a thousand ran at once, each step of one would wait for the same step of all others, and time limits would expire.
docs/performance.md has the measurements.
"""

import asyncio
from collections import deque

from django.conf import settings

# Requests that begin in one turn without and with a queue. Requests of one turn share a commit: with turns of 8
# instead of 64, a create took 15 % longer at 32 connections. With turns of 64, a get took 25 % longer at 1,000.
TURN_SIZE, CROWDED_TURN_SIZE = 64, 8
# Refusals have their own queue. Each turn sends one of REFUSED_SHARE of them, and at least REFUSED_TURN_SIZE.
REFUSED_SHARE, REFUSED_TURN_SIZE = 64, 4


class _Queue:
    def __init__(self, turn_size: int) -> None:
        self.waiting: deque[asyncio.Future[None]] = deque()
        self._begun, self._turn_size = 0, turn_size

    def slot(self) -> asyncio.Future[None] | None:
        if self._begun < self._turn_size and not self.waiting:
            self._begun += 1
            return None
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        return future

    def next_turn(self, size: int) -> None:
        self._begun = 0
        while self.waiting and self._begun < size:
            future = self.waiting.popleft()
            if not future.done():  # A request that was cancelled while it waited does not count.
                future.set_result(None)
                self._begun += 1


class Admission:
    """The queues of one process. `in_flight` counts all requests: running, waiting and about to be refused."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._accepted, self._refused = _Queue(TURN_SIZE), _Queue(REFUSED_TURN_SIZE)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn: asyncio.Handle | None = None

    def is_full(self) -> bool:
        """Whether the latest request, which `in_flight` already counts, is too many."""
        return self.in_flight - len(self._refused.waiting) > settings.MAX_REQUESTS_IN_FLIGHT

    def slot(self, *, is_refused: bool) -> asyncio.Future[None] | None:
        """Return None if the request, or its refusal, may begin now. Otherwise return a future to await first."""
        loop = asyncio.get_running_loop()
        if self._turn is None or self._loop is not loop:
            self._loop, self._turn = loop, loop.call_soon(self._next_turn)
        return (self._refused if is_refused else self._accepted).slot()

    def _next_turn(self) -> None:
        self._accepted.next_turn(CROWDED_TURN_SIZE)
        self._refused.next_turn(max(REFUSED_TURN_SIZE, len(self._refused.waiting) // REFUSED_SHARE))
        is_idle = not self._accepted.waiting and not self._refused.waiting
        self._turn = None if is_idle else asyncio.get_running_loop().call_soon(self._next_turn)


admission = Admission()
