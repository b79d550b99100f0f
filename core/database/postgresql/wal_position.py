"""Positions in PostgreSQL's write-ahead log: written by the primary, replayed by a standby."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from django.db import connection

from core.database.fast_path import current_fast_path

# With synchronous_commit off, the server acknowledges commits before it flushes them.
_WRITTEN = """
SELECT substr(pg_walfile_name(at), 1, 8), (at - '0/0')::bigint FROM (
  SELECT CASE current_setting('synchronous_commit') WHEN 'off' THEN pg_current_wal_insert_lsn()
         ELSE pg_current_wal_flush_lsn() END) AS written (at)
"""
_REPLAYED = "SELECT (pg_last_wal_replay_lsn() - '0/0')::bigint WHERE pg_is_in_recovery()"
_SYSTEM = "SELECT system_identifier FROM pg_control_system()"
# The timeline of the last checkpoint, and the timeline that the standby reached most recently.
_TIMELINES = """
SELECT timeline_id, min_recovery_end_timeline FROM pg_control_checkpoint(), pg_control_recovery()
"""


class Position(NamedTuple):
    """A position in the log. A failover starts a new timeline; positions of two timelines cannot be compared."""

    timeline: int
    at: int


class StandbyStatus(NamedTuple):
    """The state of a standby. `replayed` is None if the server is not, or no longer, a standby."""

    system: int
    timelines: frozenset[int]
    replayed: int | None


def find_written() -> Position:
    """Return how far the primary has written. Raises DatabaseError, also if the server is not a primary."""
    timeline, at = _query_row(_WRITTEN)
    return Position(int(timeline, 16), at)


def find_replayed() -> int | None:
    """Return how far the standby has replayed; None if the server is not a standby."""
    replayed: int | None
    [replayed] = _query_row(_REPLAYED) or [None]
    return replayed


def find_system() -> int:
    """Return the identifier that a primary shares with all of its standbys."""
    [system] = _query_row(_SYSTEM)
    return int(system)


def find_status() -> StandbyStatus:
    # The position is read last, so system and timelines are valid at that position.
    system, timelines = find_system(), frozenset(_query_row(_TIMELINES))
    return StandbyStatus(system, timelines, find_replayed())


def _query_row(statement: str) -> Any:
    if (fast_path := current_fast_path()) is not None:
        with fast_path.execute(statement, ()) as result:
            return result.fetchone()
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()


class SharedQuery[T]:
    """Runs one query for all callers that wait for it. No caller receives a result older than its call."""

    def __init__(self, run: Callable[[], Awaitable[T]]) -> None:
        self._run = run
        self._current: asyncio.Future[T] | None = None
        self._next: asyncio.Future[T] | None = None

    async def result(self) -> T:
        if self._next is None:
            self._next = asyncio.ensure_future(self._run_after(self._current))
            # Every caller receives the exception; asyncio need not log it.
            self._next.add_done_callback(_retrieve_exception)
        return await asyncio.shield(self._next)

    async def _run_after(self, previous: "asyncio.Future[T] | None") -> T:
        if previous is not None and not previous.done():
            await asyncio.wait([previous])
        self._current, self._next = self._next, None
        return await self._run()


def _retrieve_exception(done: asyncio.Future[Any]) -> None:
    if not done.cancelled():
        done.exception()
