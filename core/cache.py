"""Representations in Redis: filled when read, replaced when changed, never older than an acknowledged change.

An entry is `version:written:token:owner:body`. A change marks the entry before it commits (its token, no body) and
puts the new representation in after; nobody fills in between, and a fill or a late change never goes back a version.
So a reader that fetched the old row before the commit cannot put it back, and a process that is killed between
commit and cache leaves a mark, which expires. Without Redis nothing is cached.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from core.auth.principal import Principal
from core.metrics import CACHE_HITS, CACHE_MISSES
from core.redis import redis

# How long a mark keeps others from filling: longer than any change takes from its mark to its end.
MARK_MILLISECONDS = 20_000
# A reader slower than this does not fill: the mark that would have refused it may have gone.
FILL_WITHIN_SECONDS = 1.0
# What is left of a mark after a change that failed: enough to outlast such readers.
FAILED_MARK_MILLISECONDS = 2_000

# KEYS[1] is the entry; ARGV is version, payload (`owner:body`), life in seconds, token, life of a mark in ms,
# and from when on (Redis' clock, µs) this process trusts what it finds.
_READ = """
local version, token, trusted = 0, '', true
local entry = redis.call('GET', KEYS[1])
if entry then
  local _, _, stored, since, mark = string.find(entry, '^(%d+):(%d+):(%w*):')
  version, token, trusted = tonumber(stored), mark, tonumber(since) >= tonumber(ARGV[6])
end
local time = redis.call('TIME')
local written = time[1] .. string.format('%06d', time[2])
local function put(number, mark, payload, unit, life)
  redis.call('SET', KEYS[1], number .. ':' .. written .. ':' .. mark .. ':' .. payload, unit, life)
  return 1
end
"""
_MARK = _READ + "return put(version, ARGV[4], '', 'PX', ARGV[5])"
_FILL = (
    _READ
    + """
if token ~= '' or (trusted and version >= tonumber(ARGV[1])) then return 0 end
return put(ARGV[1], '', ARGV[2], 'EX', ARGV[3])
"""
)
# A later change that is still under way keeps its mark, and only learns of the version.
_REPLACE = (
    _READ
    + """
if version > tonumber(ARGV[1]) then return 0 end
if token ~= '' and token ~= ARGV[4] then return put(ARGV[1], token, '', 'PX', ARGV[5]) end
if ARGV[2] == '' then return put(ARGV[1], 'gone', '', 'PX', ARGV[5]) end
return put(ARGV[1], '', ARGV[2], 'EX', ARGV[3])
"""
)
type KeyFunction = Callable[[Principal, dict[str, str]], bytes | None]


def prefetch[F: Callable[..., Any]](key: KeyFunction) -> Callable[[F], F]:
    """Has the rate limit's round trip bring the cache entry that a view will want, as `request.cached`."""

    def mark_view(view: F) -> F:
        view.prefetch = key  # type: ignore[attr-defined]
        return view

    return mark_view


@dataclass(frozen=True, slots=True)
class Representation:
    """One version of a resource: what is sent, and whose it is."""

    version: int
    owner: bytes
    body: bytes

    def is_visible_to(self, principal: Principal) -> bool:
        """Whether it is the principal's own, or the principal is staff."""
        return principal.is_staff or self.owner == principal.user_key.encode()


class RepresentationCache:
    """The entries of one kind of resource."""

    def __init__(self, kind: str) -> None:
        self._prefix = kind.encode() + b":"
        self._mark, self._fill, self._replace = (redis.register_script(one) for one in (_MARK, _FILL, _REPLACE))
        self._loading: dict[bytes, asyncio.Future[Representation | None]] = {}
        # Entries from before Redis was lost to this process, by Redis' clock in µs, are not trusted:
        # changes made meanwhile could not reach them.
        self._trusted_from = 0
        self._generation = -1

    def key(self, resource_id: str) -> bytes:
        """The entry's key."""
        return self._prefix + resource_id.encode()

    async def find(
        self, key: bytes, entry: bytes | None, load: Callable[[], Awaitable[Representation | None]]
    ) -> Representation | None:
        """The representation in the entry that came with the request, or else what `load` reads, which is cached.

        Of many that find no entry at the same time, one loads.
        """
        if redis.generation != self._generation:
            await self._start_generation()
            entry = None
        elif (cached := self._parse(entry)) is not None:
            CACHE_HITS.inc()
            return cached
        if redis.state != "up":
            return await load()
        CACHE_MISSES.inc()
        if entry:  # marked by a change: who joins an earlier reading might see what was before it
            return await load()
        reading = self._loading.get(key)
        if reading is None:
            reading = self._loading[key] = asyncio.ensure_future(self._load(key, load))
            reading.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(reading)

    async def change(self, key: bytes, commit: Callable[[], Awaitable[Representation]]) -> Representation:
        """Runs a change between its mark and the new representation; an empty body means that it is deleted."""
        if redis.state == "disabled":
            return await commit()
        token = secrets.token_hex(8)
        self._loading.pop(key, None)
        await self._call(self._mark, key, 0, b"", token)
        try:
            changed = await commit()
        except BaseException:
            await self._call(self._mark, key, 0, b"", token, FAILED_MARK_MILLISECONDS)
            raise
        payload = changed.owner + b":" + changed.body if changed.body else b""
        await self._call(self._replace, key, changed.version, payload, token)
        return changed

    def _parse(self, entry: bytes | None) -> Representation | None:
        if entry is None:
            return None
        version, written, token, rest = entry.split(b":", 3)
        if token or int(written) < self._trusted_from:
            return None
        owner, _, body = rest.partition(b":")
        return Representation(int(version), owner, body)

    async def _start_generation(self) -> None:
        generation = redis.generation
        if replies := await redis.call([("TIME",)]):
            seconds, microseconds = replies[0]
            self._trusted_from = int(seconds) * 1_000_000 + int(microseconds)
            self._generation = generation

    async def _load(
        self, key: bytes, load: Callable[[], Awaitable[Representation | None]]
    ) -> Representation | None:
        began = time.monotonic()
        found = await load()
        if found is not None and time.monotonic() - began < FILL_WITHIN_SECONDS:
            await self._call(self._fill, key, found.version, found.owner + b":" + found.body, "")
        return found

    def _forget(self, key: bytes, done: asyncio.Future[Representation | None]) -> None:
        if self._loading.get(key) is done:
            del self._loading[key]
        if not done.cancelled():
            done.exception()

    async def _call(
        self, script: bytes, key: bytes, version: int, payload: bytes, token: str, mark_ms: int = MARK_MILLISECONDS
    ) -> None:
        await redis.call(
            [("EVALSHA", script, 1, key, version, payload, settings.CACHE_TTL, token, mark_ms, self._trusted_from)]
        )
