"""The cache as services see it: what a resource looks like, found or loaded, and changed."""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

from django.conf import settings

from core.auth.principal import Principal
from core.cache.epoch import Epoch
from core.cache.epoch import epoch as this_epoch
from core.cache.scripts import FILL, MARK, RELEASE, REPLACE
from core.metrics import CACHE_HITS, CACHE_MISSES
from core.redis import RedisClient
from core.redis import redis as this_redis

# How long a mark keeps others from filling: longer than nearly any change takes. Should it go before the change has
# ended, an entry may be older than the change, but not once it is acknowledged.
MARK_MILLISECONDS = 20_000
# A reader slower than this does not fill in: the entry or mark that would have refused it may have expired.
FILL_WITHIN_SECONDS = 1.0
# What is left of a mark that is of no more use: enough to outlast such readers.
SPENT_MARK_MILLISECONDS = 3_000

_ENTRY = re.compile(rb"(\w*):\d+:(\w*):")

type KeyFunction = Callable[[Principal, dict[str, str]], bytes | None]
type Load = Callable[[], Awaitable[Representation | None]]


def prefetch[F: Callable[..., Any]](key: KeyFunction) -> Callable[[F], F]:
    """Has the rate limit's round trip bring the cache entry that a view will want, as `request.cached`."""

    def mark_view(view: F) -> F:
        view.prefetch = key  # type: ignore[attr-defined]
        return view

    return mark_view


@dataclass(frozen=True, slots=True)
class Representation:
    """One version of a resource: what is sent, and whose it is. Without a body it has been deleted."""

    version: int
    owner: bytes
    body: bytes

    def is_visible_to(self, principal: Principal) -> bool:
        """Whether it is the principal's own, or the principal is staff."""
        return principal.is_staff or self.owner == principal.user_key.encode()


class _Reading:
    """A representation that is being loaded, for all who want it in the meantime."""

    def __init__(self, loading: Awaitable[Representation | None]) -> None:
        self.began = monotonic()
        self.found = asyncio.ensure_future(loading)


class RepresentationCache:
    """The entries of one kind of resource."""

    def __init__(self, kind: str, *, redis: RedisClient = this_redis, epoch: Epoch = this_epoch) -> None:
        self._prefix = kind.encode() + b":"
        self._redis, self._epoch = redis, epoch
        scripts = (MARK, FILL, REPLACE, RELEASE)
        self._mark, self._fill, self._replace, self._release = map(redis.register_script, scripts)
        self._readings: dict[tuple[bytes, bytes], _Reading] = {}

    def key(self, resource_id: str) -> bytes:
        """The entry's key."""
        return self._prefix + resource_id.encode()

    async def find(self, key: bytes, entry: bytes | None, load: Load) -> Representation | None:
        """The representation in the entry that came with the request, or else what `load` reads, which is cached.

        Of many that find no entry at the same time, one loads. Raises what `load` raises.
        """
        asked = monotonic()
        is_answered = self._epoch.is_connected
        if not await self._epoch.is_trusted(asked):
            return await load()
        epoch = self._epoch.token
        if entry is not None and (head := _ENTRY.match(entry)):
            if head[2]:  # a change is under way: who joins an earlier reading might see what was before it
                CACHE_MISSES.inc()
                return await load()
            if head[1] == epoch:
                CACHE_HITS.inc()
                return _parse(entry)
        CACHE_MISSES.inc()
        reading = self._readings.get((key, epoch))
        # Without Redis' word that there is no entry, only what was read after the question will do.
        if reading is None or not (is_answered or reading.began > asked):
            reading = self._begin_reading(key, epoch, load)
        return await asyncio.shield(reading.found)

    async def change(self, key: bytes, commit: Callable[[], Awaitable[Representation]]) -> Representation:
        """Runs a change between its mark and the new representation, and returns the latter.

        Raises what `commit` raises; ServiceUnavailable if the change is made, but old entries may still be in use.
        """
        if self._redis.state == "disabled":
            return await commit()
        epoch, mark = b"", secrets.token_hex(8).encode()
        is_marked = await self._epoch.is_trusted(monotonic())
        if is_marked:
            epoch = self._epoch.token
            is_marked = await self._run(self._mark, key, epoch, 0, mark)
        try:
            changed = await commit()
        except BaseException:
            await self._run(self._release, key, epoch, 0, mark)
            raise
        payload = changed.owner + b":" + changed.body if changed.body else b""
        if not (is_marked and await self._run(self._replace, key, epoch, changed.version, mark, payload)):
            await self._epoch.turn()
        return changed

    def _begin_reading(self, key: bytes, epoch: bytes, load: Load) -> _Reading:
        place = key, epoch
        reading = self._readings[place] = _Reading(self._load(key, epoch, load))

        def end(done: "asyncio.Future[Any]") -> None:
            if self._readings.get(place) is reading:
                del self._readings[place]
            if not done.cancelled():
                done.exception()  # whoever waits for it has it too

        reading.found.add_done_callback(end)
        return reading

    async def _load(self, key: bytes, epoch: bytes, load: Load) -> Representation | None:
        began = monotonic()
        found = await load()
        if found is not None and monotonic() - began < FILL_WITHIN_SECONDS:
            await self._run(self._fill, key, epoch, found.version, b"", found.owner + b":" + found.body)
        return found

    async def _run(
        self, script: bytes, key: bytes, epoch: bytes, version: int, mark: bytes, payload: bytes = b""
    ) -> bool:
        """Whether Redis has run the script."""
        lives = settings.CACHE_TTL * 1000, MARK_MILLISECONDS, SPENT_MARK_MILLISECONDS
        return bool(await self._redis.call([("EVALSHA", script, 1, key, epoch, version, mark, payload, *lives)]))


def _parse(entry: bytes) -> Representation:
    _, version, _, owner, body = entry.split(b":", 4)
    return Representation(int(version), owner, body)
