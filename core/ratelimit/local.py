"""Counts rate limits in this process while Redis does not answer, with the algorithm of gcra.lua.

The count continues from the last verdict of Redis, because full buckets would grant everybody a new budget whenever
Redis is slow or down. Redis and other processes do not learn of the requests counted here.
"""

import re
from collections import OrderedDict
from collections.abc import Callable
from itertools import islice
from time import monotonic_ns
from typing import NamedTuple

from core.ratelimit.buckets import Bucket, LimitPlan

MAX_KEYS = 50_000
MAX_VERDICTS = 50_000
# How many of the least recently used keys are searched for full buckets before a key in use is dropped.
KEYS_SEARCHED = 16

_REMAINING = re.compile(rb";r=(\d+);t=(\d+)")


def _monotonic_microseconds() -> int:
    return monotonic_ns() // 1000


class _State(NamedTuple):
    """What was left of a bucket, and when, in the bucket's unit of time."""

    at: int
    left: int
    full_at_microseconds: int = 0


class LocalLimiter:
    """Buckets in memory. Beyond `max_keys`, full buckets are dropped first, then the least recently used."""

    def __init__(
        self,
        *,
        max_keys: int = MAX_KEYS,
        max_verdicts: int = MAX_VERDICTS,
        clock_microseconds: Callable[[], int] = _monotonic_microseconds,
    ) -> None:
        self._max_keys = max_keys
        self._max_verdicts = max_verdicts
        self._clock = clock_microseconds
        self._states: OrderedDict[bytes, _State] = OrderedDict()
        self._plans: set[LimitPlan] = set()
        # The last verdict of Redis on a plan and tag, with its time in microseconds.
        self._verdicts: OrderedDict[tuple[LimitPlan, bytes], tuple[int, bytes]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._states)

    def note(self, plan: LimitPlan, tag: bytes, verdict: bytes) -> None:
        self._plans.add(plan)
        self._verdicts[plan, tag] = self._clock(), verdict
        self._verdicts.move_to_end((plan, tag))
        if len(self._verdicts) > self._max_verdicts:
            self._verdicts.popitem(last=False)

    def charge(self, plan: LimitPlan, tag: bytes) -> bytes:
        """Charge a request to all buckets of the plan or to none. Return the verdict in the format of gcra.lua."""
        microseconds = self._clock()
        keys = plan.keys(tag)
        left = [self._left(key, bucket, tag, microseconds) for key, bucket in zip(keys, plan.buckets, strict=True)]
        wait = 0
        for bucket, amount in zip(plan.buckets, left, strict=True):
            if amount < bucket.cost:
                wait = max(wait, _divide_up(bucket.cost - amount, bucket.refill_per_second))
        if not wait:
            left = [amount - bucket.cost for amount, bucket in zip(left, plan.buckets, strict=True)]
            for key, bucket, amount in zip(keys, plan.buckets, left, strict=True):
                self._save(key, bucket, amount, microseconds)
        header = ", ".join(_describe(bucket, amount) for bucket, amount in zip(plan.buckets, left, strict=True))
        return (f"{wait} {header}" if wait else header).encode()

    def _left(self, key: bytes, bucket: Bucket, tag: bytes, microseconds: int) -> int:
        state, from_redis = self._states.get(key), self._last_from_redis(bucket, tag)
        if state is None or (from_redis is not None and from_redis.at > state.at):
            state = from_redis
        if state is None:
            return bucket.capacity
        elapsed = max(microseconds // bucket.unit_microseconds - state.at, 0)
        return min(bucket.capacity, state.left + elapsed * bucket.refill)

    def _last_from_redis(self, bucket: Bucket, tag: bytes) -> _State | None:
        """Return the bucket's state, at least, according to the latest verdict on any plan that contains it."""
        verdicts = [
            (*self._verdicts[plan, tag], plan.buckets.index(bucket))
            for plan in self._plans
            if bucket in plan.buckets and (plan, tag) in self._verdicts
        ]
        if not verdicts:
            return None
        microseconds, verdict, place = max(verdicts)
        remaining, more_in = map(int, _REMAINING.findall(verdict)[place])
        # `more_in` is rounded up to seconds, so up to a second's refill is lost.
        rest = max(bucket.cost - more_in * bucket.refill_per_second, 0)
        left = min(bucket.capacity, remaining * bucket.cost + rest)
        return _State(at=microseconds // bucket.unit_microseconds, left=left)

    def _save(self, key: bytes, bucket: Bucket, left: int, microseconds: int) -> None:
        full_in = _divide_up((bucket.capacity - left) * bucket.unit_microseconds, bucket.refill)
        if key not in self._states and len(self._states) >= self._max_keys:
            self._make_room(microseconds)
        self._states[key] = _State(microseconds // bucket.unit_microseconds, left, microseconds + full_in)
        self._states.move_to_end(key)

    def _make_room(self, microseconds: int) -> None:
        oldest = list(islice(self._states.items(), KEYS_SEARCHED))
        full = [key for key, state in oldest if state.full_at_microseconds <= microseconds]
        for key in full or [oldest[0][0]]:
            del self._states[key]


def _describe(bucket: Bucket, left: int) -> str:
    remaining, rest = divmod(left, bucket.cost)
    more_in = 0 if left == bucket.capacity else _divide_up(bucket.cost - rest, bucket.refill_per_second)
    return f'"{bucket.name}";r={remaining};t={more_in}'


def _divide_up(number: int, by: int) -> int:
    return -(-number // by)
