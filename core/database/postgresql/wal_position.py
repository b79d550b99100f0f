"""How far PostgreSQL's log has got: written by the primary, replayed by a standby."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from django.db import connection

from core.database.fast_path import current_fast_path

# What a commit has to reach before it is acknowledged. With synchronous_commit off that is nothing that a standby
# could have: its place is known when it is made.
_WRITTEN = """
SELECT substr(pg_walfile_name(at), 1, 8), (at - '0/0')::bigint FROM (
  SELECT CASE current_setting('synchronous_commit') WHEN 'off' THEN pg_current_wal_insert_lsn()
         ELSE pg_current_wal_flush_lsn() END) AS written (at)
"""
_REPLAYED = "SELECT (pg_last_wal_replay_lsn() - '0/0')::bigint WHERE pg_is_in_recovery()"
_SYSTEM = "SELECT system_identifier FROM pg_control_system()"
# The second one is where a standby has just come from, the first where it was when it last saved all of its memory.
_TIMELINES = """
SELECT timeline_id, min_recovery_end_timeline FROM pg_control_checkpoint(), pg_control_recovery()
"""


class Position(NamedTuple):
    """A place in the log. After a failover there is another timeline, whose places do not compare with the former's."""

    timeline: int
    at: int


class Standing(NamedTuple):
    """How a standby stands. `replayed` is None if it is none, or not any more."""

    system: int
    timelines: frozenset[int]
    replayed: int | None


def find_written() -> Position:
    """How far the primary has written. Raises DatabaseError, also where the server is no primary."""
    timeline, at = _row(_WRITTEN)
    return Position(int(timeline, 16), at)


def find_replayed() -> int | None:
    """How far the standby has replayed; None if the server is none."""
    row = _row(_REPLAYED)
    return row[0] if row else None


def find_system() -> int:
    """What the primary and all of its standbys have in common."""
    system: int = _row(_SYSTEM)[0]
    return system


def find_standing() -> Standing:
    """All that matters about a standby. The place comes last: what else was found holds there, too."""
    system, timelines = find_system(), frozenset(_row(_TIMELINES))
    return Standing(system, timelines, find_replayed())


def _row(statement: str) -> Any:
    if (fast_path := current_fast_path()) is not None:
        with fast_path.execute(statement, ()) as answer:
            return answer.fetchone()
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()


class SharedQuestion[T]:
    """Asks for all who want to know at the moment, once. An answer is never to a question from before one's own."""

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        self._ask = ask
        self._current: asyncio.Future[T] | None = None
        self._next: asyncio.Future[T] | None = None

    async def answer(self) -> T:
        """Raises what asking raises."""
        if self._next is None:
            self._next = asyncio.ensure_future(self._ask_after(self._current))
            # Whoever waits for it has its exception too.
            self._next.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(self._next)

    async def _ask_after(self, former: "asyncio.Future[T] | None") -> T:
        if former is not None and not former.done():
            await asyncio.wait([former])
        self._current, self._next = self._next, None
        return await self._ask()
