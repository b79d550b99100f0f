"""The limit while Redis does not answer: the same count as in gcra.lua, for this process alone."""

from collections import OrderedDict
from collections.abc import Callable
from itertools import islice
from time import monotonic_ns
from typing import NamedTuple

from core.ratelimit.buckets import Bucket, Plan

MAX_KEYS = 50_000
# How many of the longest unused keys are looked at for full buckets before one that is in use has to go.
LOOKED_AT = 16


class _State(NamedTuple):
    at: int
    left: int
    full_at_microseconds: int


class LocalLimiter:
    """Buckets in the process's memory; beyond `max_keys` full ones go first, then the longest unused."""

    def __init__(
        self,
        *,
        max_keys: int = MAX_KEYS,
        clock_microseconds: Callable[[], int] = lambda: monotonic_ns() // 1000,
    ) -> None:
        self._max_keys, self._clock = max_keys, clock_microseconds
        self._states: OrderedDict[bytes, _State] = OrderedDict()

    def __len__(self) -> int:
        return len(self._states)

    def charge(self, plan: Plan, tag: bytes) -> bytes:
        """Charges one request to all buckets of the plan or to none. Returns what gcra.lua would."""
        microseconds = self._clock()
        keys = plan.keys(tag)
        left = [self._left(key, bucket, microseconds) for key, bucket in zip(keys, plan.buckets, strict=True)]
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

    def _left(self, key: bytes, bucket: Bucket, microseconds: int) -> int:
        state = self._states.get(key)
        if state is None:
            return bucket.capacity
        elapsed = max(microseconds // bucket.unit_microseconds - state.at, 0)
        return min(bucket.capacity, state.left + elapsed * bucket.refill)

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
