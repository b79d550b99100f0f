"""One connection to Redis, shared by all calls: calls of one iteration of the event loop leave in one write.

The callers of a batch that is not answered in time receive None. The batch keeps its place in the queue, so that late
replies never reach another call. docs/decisions/0005-own-redis-client.md
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, NamedTuple, cast

from hiredis import ProtocolError, Reader, ReplyError, pack_command
from redis.asyncio.connection import AbstractConnection

from core.redis.metrics import COMMANDS, ROUND_TRIP_SECONDS

type Command = tuple[bytes | str | int, ...] | bytes
type Replies = list[Any] | None

# The connection ends if a batch is overdue for this many timeouts, or if replies are late this often in a row.
GIVE_UP_FACTOR, MAX_STALLS = 4, 3
# An overdue batch is checked again after the loop has polled its sockets: the loop may be late, and not Redis.
RECHECK_SECONDS = 0.001

_NOTHING = object()


class Call(NamedTuple):
    """Commands that a caller sends together, and the future of their replies."""

    future: asyncio.Future[Replies]
    commands: Sequence[Command]


@dataclass(slots=True)
class Batch:
    """The calls of one write, in order."""

    calls: list[Call]
    sent: float
    answered: int = 0
    was_overdue: bool = False
    given_up: bool = False


class Pipeline(asyncio.Protocol):
    """Sends calls in batches and distributes their replies. While replies are overdue, the pipeline is not `ready`.

    `ended` becomes the reason why the pipeline ended. `on_trouble` receives the kind of a failure before any caller
    learns of it. `on_error_reply` settles each call with an error among its replies.
    """

    def __init__(
        self,
        connection: AbstractConnection,
        *,
        timeout_seconds: float,
        on_trouble: Callable[[str], None],
        on_error_reply: Callable[["Pipeline", Call, list[Any]], None],
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.ready = True
        self.ended: asyncio.Future[str] = self.loop.create_future()
        self._on_trouble, self._on_error_reply = on_trouble, on_error_reply
        self._timeout = timeout_seconds
        self._connection = connection
        self._reader = Reader(notEnoughData=_NOTHING)
        self._queued: list[Call] = []
        self._packed: list[bytes] = []
        self._batches: deque[Batch] = deque()
        self._replies: list[Any] = []
        self._expected = 0
        self._has_error = False
        self._timer: asyncio.TimerHandle | None = None
        self._stalls = 0
        # redis-py has no public access to the transport. Its version is pinned, and tests cover this.
        writer = cast("asyncio.StreamWriter", connection._writer)
        self._transport = writer.transport
        self._transport.set_protocol(self)

    def submit(self, commands: Sequence[Command]) -> asyncio.Future[Replies]:
        """Queue the commands for the next write. The future becomes their replies, or None if they fail.

        A command given as bytes is already packed.
        """
        future: asyncio.Future[Replies] = self.loop.create_future()
        if self._transport.is_closing():
            future.set_result(None)
            return future
        # hiredis annotates tuples of one element only.
        packed = [command if isinstance(command, bytes) else pack_command(command) for command in commands]  # type: ignore[arg-type]
        if not self._queued:
            self.loop.call_soon(self._flush)
        self._packed += packed
        self._queued.append(Call(future, commands))
        return future

    @property
    def left_seconds(self) -> float:
        """How many seconds the callers of the oldest batch will still wait."""
        return max(self._timeout - (monotonic() - self._batches[0].sent), 0) if self._batches else 0

    def end(self, kind: str, reason: str) -> None:
        """Close the connection; waiting calls return None."""
        if self.ended.done():
            return
        self.ready = False
        self.ended.set_result(reason)
        self._on_trouble(kind)
        if self._timer:
            self._timer.cancel()
        for future, _ in [call for batch in self._batches for call in batch.calls] + self._queued:
            give_up(future)
        self._batches.clear()
        self._queued, self._packed, self._expected = [], [], 0
        self._transport.abort()

    async def disconnect(self) -> None:
        await self._connection.disconnect(nowait=True)

    def connection_lost(self, exc: Exception | None) -> None:
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
            self._expected = len(batch.calls[0].commands)
        # One timer for all batches: under load it fires about once per timeout.
        if self._timer is None:
            self._timer = self.loop.call_later(self._timeout - RECHECK_SECONDS, self._check_timeouts)

    def data_received(self, data: bytes) -> None:
        gets, replies = self._reader.gets, self._replies
        try:
            self._reader.feed(data)
            while (reply := gets()) is not _NOTHING:
                replies.append(reply)
                if reply.__class__ is ReplyError:
                    self._has_error = True
                if len(replies) == self._expected:
                    self._deliver(replies)
                    replies = self._replies = []
        except ProtocolError as error:
            self.end("protocol", f"the server does not speak Redis' protocol: {error}")
            return
        if replies and not self._batches:
            self.end("protocol", "an unexpected reply")

    def _deliver(self, replies: list[Any]) -> None:
        batch = self._batches[0]
        call = batch.calls[batch.answered]
        batch.answered += 1
        if self._has_error:
            self._has_error = False
            self._on_error_reply(self, call, replies)
            if not self._batches:  # the error ended the pipeline
                return
        elif not call.future.done():
            call.future.set_result(replies)
        if batch.answered < len(batch.calls):
            self._expected = len(batch.calls[batch.answered].commands)
        else:
            self._batches.popleft()
            self._expected = len(self._batches[0].calls[0].commands) if self._batches else 0
            self._note_answered(batch)

    def _note_answered(self, batch: Batch) -> None:
        ROUND_TRIP_SECONDS.observe(monotonic() - batch.sent)
        if not batch.given_up:
            self._stalls = 0
        elif not self._batches or not self._batches[0].given_up:
            self.ready = True

    def _check_timeouts(self) -> None:
        self._timer = None
        soon = monotonic() + RECHECK_SECONDS
        overdue = [batch for batch in self._batches if not batch.given_up and batch.sent + self._timeout <= soon]
        if still_overdue := [batch for batch in overdue if batch.was_overdue]:
            self._give_up(still_overdue)
        for batch in overdue:
            batch.was_overdue = True
        if not self._batches:
            return
        oldest = self._batches[0]
        if oldest.given_up and oldest.sent + GIVE_UP_FACTOR * self._timeout <= soon:
            self.end("timeout", f"no reply within {GIVE_UP_FACTOR * self._timeout:.2f} s")
            return
        deadlines = [batch.sent + self._timeout for batch in self._batches if not batch.given_up]
        due = min(deadlines, default=oldest.sent + GIVE_UP_FACTOR * self._timeout)
        self._timer = self.loop.call_later(max(due - soon, RECHECK_SECONDS), self._check_timeouts)

    def _give_up(self, batches: list[Batch]) -> None:
        if self.ready:
            self.ready = False
            self._stalls += 1
            self._on_trouble("timeout")
        for batch in batches:
            batch.given_up = True
            for future, _ in batch.calls[batch.answered :]:
                give_up(future)
        if self._stalls >= MAX_STALLS:
            self.end("timeout", f"no reply within {self._timeout} s, {self._stalls} times in a row")


def give_up(future: asyncio.Future[Replies]) -> None:
    if not future.done():
        future.set_result(None)
