"""Checks whether a session or an API key is still valid.

Each process caches the database's answer for 0.9 s, so a revocation takes effect everywhere within a second, with and
without Redis. A process forgets the credentials that it revokes itself at once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import NamedTuple
from uuid import UUID

from django.db import models
from django.db.models import Q

from core.auth.models import APIKey, Session
from core.database.compiled import CompiledQuery, Parameter
from core.database.pool import database
from core.http.principal import Principal
from core.values import now

FRESH_SECONDS = 0.9
MAX_CACHED = 20_000


class LiveCredential(NamedTuple):
    """A valid session or API key, with its principal. Only API keys have a `secret_digest`."""

    principal: Principal
    expires_at: datetime | None = None
    secret_digest: str = ""


class CredentialCache:
    """Caches the results of `find`, None for an invalid credential included, for FRESH_SECONDS."""

    def __init__(self, find: Callable[[str], Awaitable[LiveCredential | None]]) -> None:
        self._find = find
        self._results: dict[str, tuple[float, LiveCredential | None]] = {}
        self._pending: dict[str, asyncio.Task[LiveCredential | None]] = {}

    async def get(self, key: str) -> LiveCredential | None:
        if key in self._results:
            fresh_until, credential = self._results[key]
            if time.monotonic() < fresh_until:
                return credential
        task = self._pending.get(key)
        if task is None:
            # A task, so that a disconnect of the first client does not fail the requests waiting for the same key.
            task = self._pending[key] = asyncio.create_task(self._fetch(key))
            task.add_done_callback(_retrieve_exception)
        return await asyncio.shield(task)

    def forget(self, key: str) -> None:
        """Make the next request query the database. A query in progress may predate the revocation: do not cache it."""
        self._results.pop(key, None)
        self._pending.pop(key, None)

    async def _fetch(self, key: str) -> LiveCredential | None:
        asked_at = time.monotonic()
        try:
            credential = await self._find(key)
            if self._pending.get(key) is asyncio.current_task():
                self._keep(key, asked_at, credential)
            return credential
        finally:
            if self._pending.get(key) is asyncio.current_task():
                del self._pending[key]

    def _keep(self, key: str, asked_at: float, credential: LiveCredential | None) -> None:
        fresh = FRESH_SECONDS
        if credential is not None and credential.expires_at is not None:
            fresh = min(fresh, (credential.expires_at - now()).total_seconds())
        # Removed and added again, so that the oldest result is the first in the dictionary.
        self._results.pop(key, None)
        while len(self._results) >= MAX_CACHED:
            del self._results[next(iter(self._results))]
        self._results[key] = (asked_at + fresh, credential)


def _retrieve_exception(task: asyncio.Task[LiveCredential | None]) -> None:
    # asyncio would log the exception if every waiting request was cancelled.
    if not task.cancelled():
        task.exception()


class _SessionRow(NamedTuple):
    user_id: UUID
    user__is_staff: bool
    expires_at: datetime


class _KeyRow(NamedTuple):
    id: UUID
    user_id: UUID
    user__is_staff: bool
    scopes: str
    digest: str
    expires_at: datetime | None


def _select_session() -> models.QuerySet[Session, tuple[object, ...]]:
    live = Session.objects.filter(
        id=Parameter("id", models.UUIDField()),
        expires_at__gt=Parameter("now", models.DateTimeField()),
        revoked_at__isnull=True,
        user__is_active=True,
    )
    return live.order_by().values_list(*_SessionRow._fields)


def _select_api_key() -> models.QuerySet[APIKey, tuple[object, ...]]:
    live = APIKey.objects.filter(
        Q(expires_at__isnull=True) | Q(expires_at__gt=Parameter("now", models.DateTimeField())),
        prefix=Parameter("prefix", models.CharField()),
        revoked_at__isnull=True,
        user__is_active=True,
    )
    return live.order_by().values_list(*_KeyRow._fields)


_SESSION_QUERY = CompiledQuery(_select_session, row=_SessionRow)
_API_KEY_QUERY = CompiledQuery(_select_api_key, row=_KeyRow)


def find_session(session_key: str) -> LiveCredential | None:
    """Return the session with this id (canonical text) if it and its user are active. One indexed query."""
    session_id = UUID(session_key)
    row = _SESSION_QUERY.fetch_one(id=session_id, now=now())
    if row is None:
        return None
    principal = Principal(
        user_id=row.user_id,
        user_key=str(row.user_id),
        is_staff=row.user__is_staff,
        scopes=None,
        session_id=session_id,
        api_key_id=None,
    )
    return LiveCredential(principal, row.expires_at)


def find_api_key(prefix: str) -> LiveCredential | None:
    """Return the API key with this prefix if it and its user are active. One indexed query."""
    row = _API_KEY_QUERY.fetch_one(prefix=prefix, now=now())
    if row is None:
        return None
    principal = Principal(
        user_id=row.user_id,
        user_key=str(row.user_id),
        is_staff=row.user__is_staff,
        scopes=frozenset(row.scopes.split()),
        session_id=None,
        api_key_id=row.id,
    )
    return LiveCredential(principal, row.expires_at, row.digest)


async def _read(find: Callable[[str], LiveCredential | None], key: str) -> LiveCredential | None:
    return await database.read(partial(find, key))


session_cache = CredentialCache(partial(_read, find_session))
api_key_cache = CredentialCache(partial(_read, find_api_key))
