"""The cache as services see it: what a resource looks like, found or loaded, and changed."""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, NamedTuple

from django.conf import settings
from django_prometheus.cache import metrics

from core.http.principal import Principal
from core.redis.client import RedisClient
from core.redis.client import redis as this_redis
from core.resources.cache.epoch import Epoch
from core.resources.cache.epoch import epoch as this_epoch
from core.resources.cache.scripts import FILL, LOOK, MARK, RELEASE, REPLACE

# How long a mark keeps others from filling: longer than nearly any change takes. Should it go before the change has
# ended, an entry may be older than the change, but not once it is acknowledged.
MARK_MILLISECONDS = 20_000
# A reader's mark: one that takes longer does not fill in. And what is left of a change's that is of no more use.
SHORT_MARK_MILLISECONDS = 3_000
# What a reader's mark begins with; those of changes are hexadecimal or words.
READER = b"r"

_ENTRY = re.compile(rb"(\w*):\d+:(\w*):")

type KeyFunction = Callable[[Principal, dict[str, str]], bytes | None]
type Load = Callable[[], Awaitable[Representation | None]]


def prefetch[F: Callable[..., Any]](key: KeyFunction) -> Callable[[F], F]:
    """Has the rate limit's round trip bring the cache entry that a view will want, as `request.cached`."""

    def mark_view(view: F) -> F:
        view.prefetch = key  # type: ignore[attr-defined]
        return view

    return mark_view


class Representation(NamedTuple):
    """One version of a resource, as it is sent and cached. An empty body means that the resource was deleted."""

    version: int
    owner: str
    body: bytes


class _Reading:
    """A representation that is being loaded, for all who want it in the meantime."""

    found: "asyncio.Future[Representation | None]"

    def __init__(self) -> None:
        self.mark = READER + secrets.token_hex(8).encode()
        self.is_looking = False

    def serves(self, mark: bytes) -> bool:
        """Whether it is as good as one that begins now, for somebody who finds this mark (or none) in the entry.

        It is until it looks into the database, and after that as long as its mark is there: a change takes it away.
        """
        return not self.is_looking or self.mark == mark


class RepresentationCache:
    """The entries of one kind of resource."""

    def __init__(self, kind: str, *, redis: RedisClient = this_redis, epoch: Epoch = this_epoch) -> None:
        self._prefix = kind.encode() + b":"
        self._redis, self._epoch = redis, epoch
        scripts = (MARK, LOOK, FILL, REPLACE, RELEASE)
        self._mark, self._look, self._fill, self._replace, self._release = map(redis.register_script, scripts)
        self._count_lookup = metrics.django_cache_get_total.labels(kind).inc
        self._count_hit = metrics.django_cache_hits_total.labels(kind).inc
        self._count_miss = metrics.django_cache_misses_total.labels(kind).inc
        self._readings: dict[tuple[bytes, bytes], _Reading] = {}

    def key(self, resource_id: str) -> bytes:
        """The entry's key."""
        return self._prefix + resource_id.encode()

    async def find(self, key: bytes, entry: bytes | None, load: Load) -> Representation | None:
        """The representation in the entry that came with the request, or else what `load` reads, which is cached.

        Of many that find no entry at the same time, one loads. Raises what `load` raises.
        """
        if not await self._epoch.is_trusted(monotonic()):
            return await load()
        epoch, mark = self._epoch.token, b""
        self._count_lookup()
        if entry is not None and (head := _ENTRY.match(entry)):
            mark = head[2]
            if not mark and head[1] == epoch:
                self._count_hit()
                return _parse(entry)
        self._count_miss()
        if mark and not mark.startswith(READER):  # a change is under way
            return await self._load(key, epoch, load, _Reading())
        reading = self._readings.get((key, epoch))
        if reading is None or not reading.serves(mark):
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
        payload = _payload(changed) if changed.body else b""
        is_told = is_marked and await self._run(self._replace, key, epoch, changed.version, mark, payload)
        # Told to the Redis that the others use too, as of less than a lease ago: it may have handed over meanwhile.
        if not (is_told and await self._epoch.is_trusted(monotonic())):
            await self._epoch.turn()
        return changed

    def _begin_reading(self, key: bytes, epoch: bytes, load: Load) -> _Reading:
        place = key, epoch
        reading = self._readings[place] = _Reading()

        async def mark_and_load() -> Representation | None:
            await self._run(self._look, key, epoch, 0, reading.mark)
            return await self._load(key, epoch, load, reading)

        def end(done: "asyncio.Future[Any]") -> None:
            if self._readings.get(place) is reading:
                del self._readings[place]
            if not done.cancelled():
                done.exception()  # whoever waits for it has it too

        reading.found = asyncio.ensure_future(mark_and_load())
        reading.found.add_done_callback(end)
        return reading

    async def _load(self, key: bytes, epoch: bytes, load: Load, reading: _Reading) -> Representation | None:
        reading.is_looking = True
        found = await load()
        if found is not None:
            await self._run(self._fill, key, epoch, found.version, reading.mark, _payload(found))
        return found

    async def _run(
        self, script: bytes, key: bytes, epoch: bytes, version: int, mark: bytes, payload: bytes = b""
    ) -> bool:
        """Whether Redis has run the script."""
        lives = settings.CACHE_TTL * 1000, MARK_MILLISECONDS, SHORT_MARK_MILLISECONDS
        return bool(await self._redis.call([("EVALSHA", script, 1, key, epoch, version, mark, payload, *lives)]))


def _payload(found: Representation) -> bytes:
    return found.owner.encode() + b":" + found.body


def _parse(entry: bytes) -> Representation:
    _, version, _, owner, body = entry.split(b":", 4)
    return Representation(int(version), owner.decode(), body)
