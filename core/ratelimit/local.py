"""The limit while Redis does not answer: the same count as in gcra.lua, for this process alone.

It goes on from what Redis last said here: to begin with full buckets would grant everybody a budget anew each time
that Redis goes away or is slow. What other processes have charged since is not known, nor later to Redis what this one
has.
"""

import re
from collections import OrderedDict
from collections.abc import Callable
from itertools import islice
from time import monotonic_ns
from typing import NamedTuple

from core.ratelimit.buckets import Bucket, Plan

MAX_KEYS = 50_000
# How many verdicts of Redis are remembered for the same buckets.
MAX_VERDICTS = 20_000
# How many of the longest unused keys are looked at for full buckets before one that is in use has to go.
LOOKED_AT = 16


class _State(NamedTuple):
    at: int
    left: int
    full_at_microseconds: int


_NUMBERS = re.compile(rb";r=(\d+);t=(\d+)")


class Verdicts:
    """What Redis last said about some buckets, by tag: the latest `max_verdicts`, or half as many."""

    def __init__(self, max_verdicts: int) -> None:
        # With the time, in microseconds. When the newer half is full the older one is forgotten: to know which single
        # one is the oldest would cost each request more.
        self.newer: dict[bytes, tuple[int, bytes]] = {}
        self._older: dict[bytes, tuple[int, bytes]] = {}
        self.half = max_verdicts // 2

    def __len__(self) -> int:
        return len(self.newer) + len(self._older)

    def forget_older(self) -> None:
        """Makes room."""
        self.newer, self._older = {}, self.newer

    def find(self, tag: bytes) -> tuple[int, bytes] | None:
        """The last one and its time."""
        return self.newer.get(tag) or self._older.get(tag)


class LocalLimiter:
    """Buckets in the process's memory; beyond `max_keys` full ones go first, then the longest unused."""

    def __init__(
        self,
        *,
        max_keys: int = MAX_KEYS,
        max_verdicts: int = MAX_VERDICTS,
        clock_microseconds: Callable[[], int] = lambda: monotonic_ns() // 1000,
    ) -> None:
        self._max_keys, self._clock = max_keys, clock_microseconds
        self._states: OrderedDict[bytes, _State] = OrderedDict()
        self._max_verdicts = max_verdicts
        self._verdicts: dict[Plan, Verdicts] = {}
        self._verdicts_on: dict[tuple[Bucket, ...], Verdicts] = {}

    def __len__(self) -> int:
        return len(self._states)

    def note(self, plan: Plan, tag: bytes, verdict: bytes) -> None:
        """Remembers what Redis said. For each request that it counts, so it takes less than half a microsecond."""
        try:
            verdicts = self._verdicts[plan]
        except KeyError:  # plans of the same buckets share theirs
            verdicts = self._verdicts_on.setdefault(plan.buckets, Verdicts(self._max_verdicts))
            self._verdicts[plan] = verdicts
        newer = verdicts.newer
        newer[tag] = self._clock(), verdict
        if len(newer) >= verdicts.half:
            verdicts.forget_older()

    def charge(self, plan: Plan, tag: bytes) -> bytes:
        """Charges one request to all buckets of the plan or to none. Returns what gcra.lua would."""
        microseconds = self._clock()
        keys = plan.keys(tag)
        left = [self._left(key, bucket, tag, microseconds) for key, bucket in zip(keys, plan.buckets, strict=True)]
        wait = 0
        for bucket, amount in zip(plan.buckets, left, strict=True):
            if amount < bucket.cost:
                wait = max(wait, _divided_up(bucket.cost - amount, bucket.refill_per_second))
        if not wait:
            left = [amount - bucket.cost for amount, bucket in zip(left, plan.buckets, strict=True)]
            for key, bucket, amount in zip(keys, plan.buckets, left, strict=True):
                self._save(key, bucket, amount, microseconds)
        header = ", ".join(_told(bucket, amount) for bucket, amount in zip(plan.buckets, left, strict=True))
        return (f"{wait} {header}" if wait else header).encode()

    def _left(self, key: bytes, bucket: Bucket, tag: bytes, microseconds: int) -> int:
        state, told = self._states.get(key), self._told(bucket, tag)
        if told is not None and (state is None or told[0] > state.at):
            at, left = told
        elif state is not None:
            at, left = state.at, state.left
        else:
            return bucket.capacity
        elapsed = max(microseconds // bucket.unit_microseconds - at, 0)
        return min(bucket.capacity, left + elapsed * bucket.refill)

    def _told(self, bucket: Bucket, tag: bytes) -> tuple[int, int] | None:
        """When Redis last spoke of the bucket, in its unit of time, and what was left of it then at least."""
        last = max(
            (
                (*found, buckets.index(bucket))
                for buckets, verdicts in self._verdicts_on.items()
                if bucket in buckets and (found := verdicts.find(tag))
            ),
            default=None,
        )
        if last is None:
            return None
        microseconds, verdict, place = last
        remaining, more_in = map(int, _NUMBERS.findall(verdict)[place])
        # Told in whole seconds, rounded up: of the next request there may be a second's refill more.
        rest = max(bucket.cost - more_in * bucket.refill_per_second, 0)
        return microseconds // bucket.unit_microseconds, min(bucket.capacity, remaining * bucket.cost + rest)

    def _save(self, key: bytes, bucket: Bucket, left: int, microseconds: int) -> None:
        full_in = _divided_up((bucket.capacity - left) * bucket.unit_microseconds, bucket.refill)
        if key not in self._states and len(self._states) >= self._max_keys:
            self._make_room(microseconds)
        self._states[key] = _State(microseconds // bucket.unit_microseconds, left, microseconds + full_in)
        self._states.move_to_end(key)

    def _make_room(self, microseconds: int) -> None:
        oldest = list(islice(self._states.items(), LOOKED_AT))
        full = [key for key, state in oldest if state.full_at_microseconds <= microseconds]
        for key in full or [oldest[0][0]]:
            del self._states[key]


def _told(bucket: Bucket, left: int) -> str:
    remaining, rest = divmod(left, bucket.cost)
    more_in = 0 if left == bucket.capacity else _divided_up(bucket.cost - rest, bucket.refill_per_second)
    return f'"{bucket.name}";r={remaining};t={more_in}'


def _divided_up(number: int, by: int) -> int:
    return -(-number // by)
