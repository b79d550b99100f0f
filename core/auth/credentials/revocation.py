"""Whether a session or an API key is still good.

The database is the truth, asked at most every 0.9 s for each.

So a log-out holds within a second on every process, with and without Redis, at the cost of one indexed query
a second for each session that is in use. What this process itself revokes, it forgets at once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple
from uuid import UUID

from django.db import models
from django.db.models import Q

from core.auth.models import APIKey, Session
from core.database.compiled import CompiledQuery, Parameter, Row
from core.database.pool import database
from core.http.principal import Principal
from core.values import now

FRESH_SECONDS = 0.9
ANSWERS_KEPT = 20_000


class Standing(NamedTuple):
    """A session or key that is good, with its principal.

    `secret_digest` is a key's, and `expires_at` when it has one.
    """

    principal: Principal
    expires_at: datetime | None = None
    secret_digest: str = ""


class StandingCache[K: Hashable]:
    """Answers of the database, None for a no, each until 0.9 s after its question was asked."""

    def __init__(self, ask: Callable[[K], Awaitable[Standing | None]]) -> None:
        self._ask = ask
        self._answers: dict[K, tuple[float, Standing | None]] = {}
        self._asking: dict[K, asyncio.Task[Standing | None]] = {}

    async def get(self, key: K) -> Standing | None:
        """The standing, or None when there is none (any more).

        Raises what the database does: ServiceUnavailable.
        """
        answer = self._answers.get(key)
        if answer is not None and answer[0] > time.monotonic():
            return answer[1]
        task = self._asking.get(key)
        if task is None:
            # A task of its own: that the client which asked first goes away must not fail those who wait with
            # it.
            task = self._asking[key] = asyncio.create_task(self._fetch(key))
            task.add_done_callback(_take_exception)
        return await asyncio.shield(task)

    def forget(self, key: K) -> None:
        """Has the next request ask anew.

        An answer that is under way may predate the change and is not kept.
        """
        self._answers.pop(key, None)
        self._asking.pop(key, None)

    async def _fetch(self, key: K) -> Standing | None:
        asked_at = time.monotonic()
        try:
            standing = await self._ask(key)
            if self._asking.get(key) is asyncio.current_task():
                self._keep(key, asked_at, standing)
            return standing
        finally:
            if self._asking.get(key) is asyncio.current_task():
                del self._asking[key]

    def _keep(self, key: K, asked_at: float, standing: Standing | None) -> None:
        fresh = FRESH_SECONDS
        if standing is not None and standing.expires_at is not None:
            fresh = min(fresh, (standing.expires_at - now()).total_seconds())
        # Taken out first, so that the order of the dictionary is that of the answers and the first is the
        # oldest.
        self._answers.pop(key, None)
        while len(self._answers) >= ANSWERS_KEPT:
            del self._answers[next(iter(self._answers))]
        self._answers[key] = (asked_at + fresh, standing)


def _take_exception(task: asyncio.Task[Standing | None]) -> None:
    """Whoever still waits gets the exception; if nobody does, asyncio need not complain of it."""
    if not task.cancelled():
        task.exception()


_FIND_SESSION = CompiledQuery(
    lambda: (
        Session.objects.filter(
            id=Parameter("id", models.UUIDField()),
            expires_at__gt=Parameter("now", models.DateTimeField()),
            revoked_at__isnull=True,
            user__is_active=True,
        )
        .order_by()
        .values_list("user_id", "user__is_staff", "expires_at")
    )
)
_FIND_API_KEY = CompiledQuery(
    lambda: (
        APIKey.objects.filter(
            Q(expires_at__isnull=True) | Q(expires_at__gt=Parameter("now", models.DateTimeField())),
            prefix=Parameter("prefix", models.CharField()),
            revoked_at__isnull=True,
            user__is_active=True,
        )
        .order_by()
        .values_list("user_id", "user__is_staff", "expires_at", "id", "scopes", "digest")
    )
)


def find_session(session_key: str) -> Standing | None:
    """The session with this id (canonical text), if neither it nor its user has ended. One indexed query."""
    session_id = UUID(session_key)
    row = _FIND_SESSION.fetch_one(id=session_id, now=now())
    if row is None:
        return None
    principal = _principal(row, scopes=None, session_id=session_id, api_key_id=None)
    return Standing(principal, _moment(row[2]))


def find_api_key(prefix: str) -> Standing | None:
    """The API key with this prefix, if neither it nor its user has ended. One indexed query."""
    row = _FIND_API_KEY.fetch_one(prefix=prefix, now=now())
    if row is None:
        return None
    *_, key_id, scopes, digest = row
    principal = _principal(row, scopes=frozenset(scopes.split()), session_id=None, api_key_id=_uuid(key_id))
    return Standing(principal, _moment(row[2]), digest)


def _principal(
    row: Row, *, scopes: frozenset[str] | None, session_id: UUID | None, api_key_id: UUID | None
) -> Principal:
    user_id = _uuid(row[0])
    return Principal(
        user_id=user_id,
        user_key=str(user_id),
        is_staff=bool(row[1]),
        scopes=scopes,
        session_id=session_id,
        api_key_id=api_key_id,
    )


def _uuid(value: UUID | str) -> UUID:
    """An id as PostgreSQL's driver gives it, or SQLite's."""
    return value if isinstance(value, UUID) else UUID(value)


def _moment(value: datetime | None) -> datetime | None:
    """A time as PostgreSQL's driver gives it, or SQLite's: UTC, without saying so."""
    return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


async def _ask_session(session_key: str) -> Standing | None:
    return await database.read(partial(find_session, session_key))


async def _ask_api_key(prefix: str) -> Standing | None:
    return await database.read(partial(find_api_key, prefix))


sessions = StandingCache(_ask_session)
api_keys = StandingCache(_ask_api_key)
