"""The numbers of a limit, and what is sent to Redis and told to clients about it.

GCRA as a bucket that is full at first and refills steadily: a request takes `cost`, a unit of time brings
`refill`, and more than `capacity` does not fit. So at most `quota` requests pass at once, and no window,
wherever it begins, sees more than the refill of its length on top of that.

All numbers are whole: the least ones in the proportion of quota and window. A unit of time is a microsecond,
or as many tens of them as it takes for every number to fit into Redis' doubles (2^53): the counts are exact
at any rate, where a theoretical arrival time in seconds is not at 60 ns a request.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from core.ratelimit.rates import Rate

EXACT = 2**53
KEY_PREFIX = b"ar:rl:{"


class Bucket(NamedTuple):
    """One rate's name for clients and its whole numbers."""

    name: str
    rate: Rate
    unit_microseconds: int
    cost: int
    refill: int

    @property
    def capacity(self) -> int:
        """What `quota` requests take."""
        return self.rate.quota * self.cost

    @property
    def refill_per_second(self) -> int:
        """In the same unit as `cost`."""
        return self.refill * 1_000_000 // self.unit_microseconds

    @property
    def key_suffix(self) -> bytes:
        """The rate is part of the key: after a change of settings nothing is read in the wrong numbers."""
        return f"}}:{self.name}:{self.rate.quota}/{self.rate.window_seconds}".encode()

    @property
    def policy(self) -> str:
        """The member of RateLimit-Policy."""
        return f'"{self.name}";q={self.rate.quota};w={self.rate.window_seconds}'


def make_bucket(name: str, rate: Rate) -> Bucket:
    """Chooses the finest unit of time in which everything stays exact."""
    for unit in (1, 10, 100, 1000, 10_000, 100_000, 1_000_000):
        window = rate.window_seconds * 1_000_000 // unit
        shared = math.gcd(rate.quota, window)
        bucket = Bucket(name, rate, unit, cost=window // shared, refill=rate.quota // shared)
        if bucket.capacity < EXACT:
            return bucket
    raise ValueError(f"{rate.quota} in {rate.window_seconds} s cannot be counted exactly")


def make_buckets(name: str, rates: Sequence[Rate]) -> tuple[Bucket, ...]:
    """The buckets of joined rates: `default`, `default-2`, and so on."""
    return tuple(make_bucket(name if n == 1 else f"{name}-{n}", rate) for n, rate in enumerate(rates, 1))


class Plan:
    """The buckets that a request is charged to, all or none of them, and what is made of them once."""

    def __init__(self, buckets: Sequence[Bucket], *, script_sha: bytes, by_address: bool = False) -> None:
        self.buckets = tuple(buckets)
        self.by_address = by_address
        self.policy_header = (b"ratelimit-policy", ", ".join(one.policy for one in buckets).encode())
        self._suffixes = [one.key_suffix for one in buckets]
        arguments = b"".join(
            _packed(str(value).encode())
            for one in buckets
            for value in (one.name, one.cost, one.refill, one.unit_microseconds, one.capacity)
        )
        keys = b"".join(b"$%d\r\n" + KEY_PREFIX + b"%b" + suffix + b"\r\n" for suffix in self._suffixes)
        head = b"*%d\r\n" % (3 + 6 * len(buckets)) + _packed(b"EVALSHA") + _packed(script_sha)
        self._command = head + _packed(b"%d" % len(buckets)) + keys + arguments
        self._lengths = [len(KEY_PREFIX) + len(suffix) for suffix in self._suffixes]

    def pack(self, tag: bytes) -> bytes:
        """The packed EVALSHA that charges a principal; packing it anew each time would take six times as
        long.

        The tag is the keys' hash tag, so that they share a slot of a Redis Cluster.
        """
        values: list[int | bytes] = []
        for length in self._lengths:
            values += (length + len(tag), tag)
        return self._command % tuple(values)

    def keys(self, tag: bytes) -> list[bytes]:
        """The buckets' keys for a principal."""
        return [KEY_PREFIX + tag + suffix for suffix in self._suffixes]


def _packed(word: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(word), word)
