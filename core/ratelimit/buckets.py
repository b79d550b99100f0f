"""The numbers of a rate limit, and the Redis command and response header made from them.

A limit is a bucket (GCRA) that starts full and refills steadily. A request takes `cost`, each unit of time adds
`refill`, and the bucket holds `capacity`. All three are integers that fit into the doubles of Redis' Lua (2^53), so the
count is exact at any rate.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from core.ratelimit.rates import Rate

MAX_EXACT = 2**53
KEY_PREFIX = b"ar:rl:{"


class Bucket(NamedTuple):
    name: str
    rate: Rate
    unit_microseconds: int
    cost: int
    refill: int

    @property
    def capacity(self) -> int:
        return self.rate.quota * self.cost

    @property
    def refill_per_second(self) -> int:
        return self.refill * 1_000_000 // self.unit_microseconds

    @property
    def key_suffix(self) -> bytes:
        # The key contains the rate, so that a changed setting starts with a new bucket.
        return f"}}:{self.name}:{self.rate.quota}/{self.rate.window_seconds}".encode()

    @property
    def policy(self) -> str:
        return f'"{self.name}";q={self.rate.quota};w={self.rate.window_seconds}'


def make_bucket(name: str, rate: Rate) -> Bucket:
    """Return a bucket with the finest unit of time in which all numbers are exact."""
    for unit in (1, 10, 100, 1000, 10_000, 100_000, 1_000_000):
        window = rate.window_seconds * 1_000_000 // unit
        divisor = math.gcd(rate.quota, window)
        bucket = Bucket(name, rate, unit, cost=window // divisor, refill=rate.quota // divisor)
        if bucket.capacity < MAX_EXACT:
            return bucket
    raise ValueError(f"{rate.quota} in {rate.window_seconds} s cannot be counted exactly")


def make_buckets(name: str, rates: Sequence[Rate]) -> tuple[Bucket, ...]:
    """Return the buckets of combined rates, named `default`, `default-2` and so on."""
    return tuple(make_bucket(name if n == 1 else f"{name}-{n}", rate) for n, rate in enumerate(rates, 1))


class LimitPlan:
    """The buckets that a request is charged to, all or none, with everything that can be computed in advance."""

    def __init__(self, buckets: Sequence[Bucket], *, script_sha: bytes, by_address: bool = False) -> None:
        self.buckets = tuple(buckets)
        self.by_address = by_address
        self.policy_header = (b"ratelimit-policy", ", ".join(bucket.policy for bucket in buckets).encode())
        self._suffixes = [bucket.key_suffix for bucket in buckets]
        words = [b"EVALSHA", script_sha, b"%d" % len(buckets)]
        arguments = [
            str(value).encode()
            for bucket in buckets
            for value in (bucket.name, bucket.cost, bucket.refill, bucket.unit_microseconds, bucket.capacity)
        ]
        self._start = b"*%d\r\n" % (len(words) + len(buckets) + len(arguments)) + _pack_words(words)
        self._end = _pack_words(arguments)

    def pack(self, tag: bytes) -> bytes:
        """Return the command that charges the principal with this tag, in Redis' protocol. Only its keys differ."""
        return self._start + _pack_words(self.keys(tag)) + self._end

    def keys(self, tag: bytes) -> list[bytes]:
        """Return the buckets' keys. The tag is their hash tag, so they share a slot of a Redis Cluster."""
        return [KEY_PREFIX + tag + suffix for suffix in self._suffixes]


def _pack_words(words: Sequence[bytes]) -> bytes:
    return b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])
