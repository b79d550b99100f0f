"""One connection to Redis, over which all calls of a process travel.

Calls made in one tick of the event loop leave in one write; the replies come back in the order of the
commands. One connection to a server is enough: Redis executes one command at a time anyway, and every further socket
would split the batches and cost its own system calls.

redis-py makes the connection (TLS, AUTH, SELECT: see core/redis/url.py), then its transport is taken over:
its own way of sending and reading costs about ten times as much a call. hiredis packs and parses, and a
future brings the replies to each caller.

Time-outs. A batch that is not answered in time is given up and its callers get None, but it keeps its place
in line, so that its replies, should they still come, are dropped and never taken for another call's. As long
as one is owed, the pipeline is not `ready`: nobody else waits. A batch that is owed for `GIVE_UP_FACTOR`
times the time-out, or the `MAX_STALLS`th time in a row that replies come late, ends the connection.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from hiredis import ProtocolError, Reader, ReplyError, pack_command

from core.redis.metrics import COMMANDS, ROUND_TRIP_SECONDS

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

type Command = tuple[bytes | str | int, ...] | bytes
type Replies = list[Any] | None
type Call = tuple[asyncio.Future[Replies], Sequence[Command]]

GIVE_UP_FACTOR = 4
MAX_STALLS = 3
# An overdue batch is looked at again before it is given up, after the loop has polled its sockets: it may be
# the loop that is late, not Redis.
SECOND_LOOK_SECONDS = 0.001

_NOTHING = object()


class Batch:
    """The calls of one write, in order."""

    __slots__ = ("answered", "calls", "given_up", "looked_at", "sent")

    def __init__(self, calls: list[Call], sent: float) -> None:
        self.calls, self.sent = calls, sent
        self.answered = 0
        self.looked_at = self.given_up = False


class Pipeline(asyncio.Protocol):
    """Sends calls in batches and hands their replies out.

    `ended` is set to the reason why the pipeline is of no more use. `on_trouble` is called with the kind of
    trouble before any caller hears of it; `on_refusal` with each call that got an error among its replies, to
    settle it.
    """

    def __init__(
        self,
        connection: "AbstractConnection",
        *,
        timeout_seconds: float,
        on_trouble: Callable[[str], None],
        on_refusal: Callable[["Pipeline", Call, list[Any]], None],
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.ready = True
        self.ended: asyncio.Future[str] = self.loop.create_future()
        self._on_trouble, self._on_refusal = on_trouble, on_refusal
        self._timeout = timeout_seconds
        self._connection = connection
        self._reader = Reader(notEnoughData=_NOTHING)
        self._queued: list[Call] = []
        self._packed: list[bytes] = []
        self._batches: deque[Batch] = deque()
        self._replies: list[Any] = []
        self._expected = 0
        self._refused = False
        self._timer: asyncio.TimerHandle | None = None
        self._stalls = 0
        # redis-py has no public way to a connection's transport. Its version is pinned, and the tests need
        # this.
        writer = cast("asyncio.StreamWriter", connection._writer)
        self._transport = writer.transport
        self._transport.set_protocol(self)

    def submit(self, commands: Sequence[Command]) -> asyncio.Future[Replies]:
        """Puts the commands into the next write. The future becomes their replies, or None if they fail.

        A command of bytes is one that is packed already.
        """
        future: asyncio.Future[Replies] = self.loop.create_future()
        if self._transport.is_closing():
            future.set_result(None)
            return future
        # hiredis' own annotation is of tuples with one element.
        packed = [one if isinstance(one, bytes) else pack_command(one) for one in commands]  # type: ignore[arg-type]
        if not self._queued:
            self.loop.call_soon(self._flush)
        self._packed += packed
        self._queued.append((future, commands))
        return future

    @property
    def left_seconds(self) -> float:
        """How long the callers of the oldest batch will still wait."""
        return max(self._timeout - (monotonic() - self._batches[0].sent), 0) if self._batches else 0

    def end(self, kind: str, reason: str) -> None:
        """Closes the connection for good; whoever waits gets None."""
        if self.ended.done():
            return
        self.ready = False
        self.ended.set_result(reason)
        self._on_trouble(kind)
        if self._timer:
            self._timer.cancel()
        for future, _ in [call for batch in self._batches for call in batch.calls] + self._queued:
            if not future.done():
                future.set_result(None)
        self._batches.clear()
        self._queued, self._packed, self._expected = [], [], 0
        self._transport.abort()

    async def disconnect(self) -> None:
        """Lets redis-py close its side too, after `end`."""
        await self._connection.disconnect(nowait=True)

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side closed the connection, or it broke."""
        self.end("lost", f"the connection broke: {exc}" if exc else "the connection was closed")

    def _flush(self) -> None:
        if not self._queued:
            return
        batch = Batch(self._queued, monotonic())
        self._transport.write(b"".join(self._packed))
        COMMANDS.inc(len(self._packed))
        self._queued, self._packed = [], []
        self._batches.append(batch)
        if len(self._batches) == 1:
            self._expected = len(batch.calls[0][1])
        # One timer for all: under traffic it goes off about once in a time-out's length, and is set anew.
        if self._timer is None:
            self._timer = self.loop.call_later(self._timeout - SECOND_LOOK_SECONDS, self._look)

    def data_received(self, data: bytes) -> None:
        """Hands the replies that are complete to their callers."""
        gets, replies = self._reader.gets, self._replies
        try:
            self._reader.feed(data)
            while (reply := gets()) is not _NOTHING:
                replies.append(reply)
                if reply.__class__ is ReplyError:
                    self._refused = True
                if len(replies) == self._expected:
                    self._deliver(replies)
                    replies = self._replies = []
        except ProtocolError as error:
            self.end("protocol", f"what came is not Redis' protocol: {error}")
            return
        if replies and not self._batches:
            self.end("protocol", "a reply came that nobody had asked for")

    def _deliver(self, replies: list[Any]) -> None:
        batch = self._batches[0]
        call = batch.calls[batch.answered]
        batch.answered += 1
        if self._refused:
            self._refused = False
            self._on_refusal(self, call, replies)
            if not self._batches:  # it ended the pipeline
                return
        elif not call[0].done():
            call[0].set_result(replies)
        if batch.answered < len(batch.calls):
            self._expected = len(batch.calls[batch.answered][1])
        else:
            self._batches.popleft()
            self._expected = len(self._batches[0].calls[0][1]) if self._batches else 0
            self._note_answered(batch)

    def _note_answered(self, batch: Batch) -> None:
        ROUND_TRIP_SECONDS.observe(monotonic() - batch.sent)
        if not batch.given_up:
            self._stalls = 0
        elif not self._batches or not self._batches[0].given_up:
            self.ready = True

    def _look(self) -> None:
        """Gives up what is overdue, and sets the timer to when to look again."""
        self._timer = None
        soon = monotonic() + SECOND_LOOK_SECONDS
        overdue = [one for one in self._batches if not one.given_up and one.sent + self._timeout <= soon]
        if hopeless := [one for one in overdue if one.looked_at]:
            self._give_up(hopeless)
        for batch in overdue:
            batch.looked_at = True
        if not self._batches:
            return
        oldest = self._batches[0]
        if oldest.given_up and oldest.sent + GIVE_UP_FACTOR * self._timeout <= soon:
            self.end("timeout", f"no reply within {GIVE_UP_FACTOR * self._timeout:.2f} s")
            return
        awaited = [one.sent + self._timeout for one in self._batches if not one.given_up]
        due = min(awaited, default=oldest.sent + GIVE_UP_FACTOR * self._timeout)
        self._timer = self.loop.call_later(max(due - soon, SECOND_LOOK_SECONDS), self._look)

    def _give_up(self, batches: list[Batch]) -> None:
        if self.ready:
            self.ready = False
            self._stalls += 1
            self._on_trouble("timeout")
        for batch in batches:
            batch.given_up = True
            for future, _ in batch.calls[batch.answered :]:
                if not future.done():
                    future.set_result(None)
        if self._stalls >= MAX_STALLS:
            self.end("timeout", f"no reply within {self._timeout} s, {self._stalls} times in a row")
