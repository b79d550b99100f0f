"""The cache as the store sees it: representations found, loaded and changed.

An entry is `epoch:version:mark:owner:body`, and is never older than an acknowledged change. Marks of readers and of
changes keep old rows out of it (`scripts`). A change that cannot reach Redis turns the epoch instead (`epoch`).
"""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import NamedTuple

from django.conf import settings
from django_prometheus.cache import metrics

from core.redis.client import RedisClient
from core.redis.client import redis as this_redis
from core.resources.cache.epoch import Epoch, retrieve_exception
from core.resources.cache.epoch import epoch as this_epoch
from core.resources.cache.scripts import FILL, LOOK, MARK, RELEASE, REPLACE

# The lifetime of a change's mark. If it expires during a change, an entry may be older until the acknowledgement.
MARK_MILLISECONDS = 20_000
# The lifetime of the marks of readers and of finished changes. A slower reader does not fill the entry.
SHORT_MARK_MILLISECONDS = 3_000
# Readers' marks start with this letter. Marks of changes are hexadecimal or words.
READER = b"r"

_ENTRY = re.compile(rb"(\w*):\d+:(\w*):")

type Load = Callable[[], Awaitable[Representation | None]]


class Representation(NamedTuple):
    """One version of a resource, as it is sent and cached. An empty body means that the resource was deleted."""

    version: int
    owner: str
    body: bytes


class _Reading:
    """A representation that is being loaded, shared by concurrent readers."""

    found: "asyncio.Task[Representation | None]"

    def __init__(self) -> None:
        self.mark = READER + secrets.token_hex(8).encode()
        self.has_read_database = False

    def serves(self, mark: bytes) -> bool:
        """Return whether the reading is fresh enough for a reader that found `mark`. A change replaces the mark."""
        return not self.has_read_database or self.mark == mark


class RepresentationCache:
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
        return self._prefix + resource_id.encode()

    async def find(self, key: bytes, entry: bytes | None, load: Load) -> Representation | None:
        """Return the prefetched representation, or load and cache it, once for concurrent readers."""
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
        if mark and not mark.startswith(READER):  # a change is in progress
            return await self._load(key, epoch, load, _Reading())
        reading = self._readings.get((key, epoch))
        if reading is None or not reading.serves(mark):
            reading = self._begin_reading(key, epoch, load)
        return await asyncio.shield(reading.found)

    async def change(self, key: bytes, commit: Callable[[], Awaitable[Representation]]) -> Representation:
        """Commit a change and replace its entry.

        Raises ServiceUnavailable if the change is committed but other processes may still read old entries.
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
        is_replaced = is_marked and await self._run(self._replace, key, epoch, changed.version, mark, payload)
        # Other processes must still use the same Redis, because it may have failed over meanwhile.
        if not (is_replaced and await self._epoch.is_trusted(monotonic())):
            await self._epoch.turn()
        return changed

    def _begin_reading(self, key: bytes, epoch: bytes, load: Load) -> _Reading:
        reading = self._readings[key, epoch] = _Reading()
        reading.found = asyncio.ensure_future(self._read(key, epoch, load, reading))
        reading.found.add_done_callback(retrieve_exception)
        return reading

    async def _read(self, key: bytes, epoch: bytes, load: Load, reading: _Reading) -> Representation | None:
        try:
            await self._run(self._look, key, epoch, 0, reading.mark)
            return await self._load(key, epoch, load, reading)
        finally:
            if self._readings.get((key, epoch)) is reading:
                del self._readings[key, epoch]

    async def _load(self, key: bytes, epoch: bytes, load: Load, reading: _Reading) -> Representation | None:
        reading.has_read_database = True
        found = await load()
        if found is not None:
            await self._run(self._fill, key, epoch, found.version, reading.mark, _payload(found))
        return found

    async def _run(
        self, script: bytes, key: bytes, epoch: bytes, version: int, mark: bytes, payload: bytes = b""
    ) -> bool:
        lives = settings.CACHE_TTL * 1000, MARK_MILLISECONDS, SHORT_MARK_MILLISECONDS
        return bool(await self._redis.call([("EVALSHA", script, 1, key, epoch, version, mark, payload, *lives)]))


def _payload(found: Representation) -> bytes:
    return found.owner.encode() + b":" + found.body


def _parse(entry: bytes) -> Representation:
    _, version, _, owner, body = entry.split(b":", 4)
    return Representation(int(version), owner.decode(), body)
