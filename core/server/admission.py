"""Which requests are begun now, which wait in line, and which are refused because the line is too long.

With a thousand requests under way, each step of one waits for the same step of 999 others: whatever has a time limit
runs into it, every client is watched for its leaving, and new connections, of which uvloop accepts one in each turn
of the event loop, are kept waiting for seconds. So only a few requests are begun in one turn; the others wait,
first come, first served, which costs next to nothing. A line that takes on all comers would only make every answer
late: beyond MAX_REQUESTS_IN_FLIGHT the next are refused with 503.
"""

import asyncio
from collections import deque

from django.conf import settings

# As long as nobody waits: the requests of one turn share a commit, and with turns of 8 a create took 15 % more at 32
# connections. In a crowd short turns make up for that: with turns of 64 a get took 25 % more at 1,000 connections.
TURN_SIZE, CROWDED_TURN_SIZE = 64, 8
# Refusals have a line of their own, of which this part goes out in each turn, at least so many: soon, but not at the
# cost of all else.
REFUSED_PART, REFUSED_TURN_SIZE = 64, 4


class _Line:
    """Requests that are all to wait for the same."""

    def __init__(self, turn_size: int) -> None:
        self.waiting: deque[asyncio.Future[None]] = deque()
        self._begun, self._turn_size = 0, turn_size

    def place(self) -> asyncio.Future[None] | None:
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
            if not future.done():  # else the request was given up meanwhile
                future.set_result(None)
                self._begun += 1


class Admission:
    """The lines of one process. `in_flight` counts all requests in hand: under way, in line, to be refused."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._accepted, self._refused = _Line(TURN_SIZE), _Line(REFUSED_TURN_SIZE)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn: asyncio.Handle | None = None

    def is_full(self) -> bool:
        """Whether a request, which `in_flight` counts already, has to be refused."""
        return self.in_flight - len(self._refused.waiting) > settings.MAX_REQUESTS_IN_FLIGHT

    def place(self, *, is_refused: bool) -> asyncio.Future[None] | None:
        """None for a request that may be begun, or answered with its refusal; else what it has to await first."""
        loop = asyncio.get_running_loop()
        if self._turn is None or self._loop is not loop:
            self._loop, self._turn = loop, loop.call_soon(self._next_turn)
        return (self._refused if is_refused else self._accepted).place()

    def _next_turn(self) -> None:
        self._accepted.next_turn(CROWDED_TURN_SIZE)
        self._refused.next_turn(max(REFUSED_TURN_SIZE, len(self._refused.waiting) // REFUSED_PART))
        is_idle = not self._accepted.waiting and not self._refused.waiting
        self._turn = None if is_idle else asyncio.get_running_loop().call_soon(self._next_turn)


admission = Admission()
