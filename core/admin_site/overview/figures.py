"""Numbers from the Prometheus metrics of this process, or the sums of all workers."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import REGISTRY

from core.http.paths import API_PREFIX
from core.telemetry import multiprocess

type Labels = dict[str, str]
type Series = dict[tuple[tuple[str, str], ...], float]

RESPONSES = "django_http_responses_total_by_status_view_method_total"
LATENCY = "django_http_requests_latency_seconds_by_view_method"
COUNTERS = (
    RESPONSES,
    f"{LATENCY}_bucket",
    "rate_limited_total",
    "django_cache_get_total",
    "django_cache_get_hits_total",
    "redis_round_trip_seconds_sum",
    "redis_round_trip_seconds_count",
    "redis_failures_total",
    "event_loop_lag_seconds_bucket",
)
GAUGES = ("django_http_requests_in_flight", "redis_breaker_state", "db_pool_size", "db_pool_jobs")


@dataclass(frozen=True, slots=True)
class Samples:
    """The values of the metrics at one moment, or their increase between two moments, by name and labels."""

    values: dict[str, Series]

    def __sub__(self, earlier: "Samples") -> "Samples":
        """Return the increase of each counter since `earlier`, and the current gauges."""
        since = dict(self.values)
        for name in COUNTERS:
            before = earlier.values.get(name, {})
            # A counter falls when a restarted worker takes its counts with it.
            since[name] = {
                labels: max(0.0, value - before.get(labels, 0.0)) for labels, value in self.values.get(name, {}).items()
            }
        return Samples(since)

    def labelled(self, name: str) -> Iterator[tuple[Labels, float]]:
        return ((dict(labels), value) for labels, value in self.values.get(name, {}).items())

    def total(self, name: str, **labels: str) -> float:
        return sum(value for found, value in self.labelled(name) if found.items() >= labels.items())


def take_samples() -> Samples:
    """Read the current values. With several workers this reads files, so do not call it on the event loop."""
    wanted = frozenset((*COUNTERS, *GAUGES))
    values: dict[str, Series] = {}
    for family in _families():
        for sample in family.samples:
            if sample.name in wanted:
                values.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return Samples(values)


def _families() -> Iterable[Any]:
    if multiprocess.is_active():
        with multiprocess.all_workers() as registry:
            return list(registry.collect())
    return REGISTRY.collect()


@dataclass(slots=True)
class Traffic:
    requests: float = 0
    client_errors: float = 0
    server_errors: float = 0
    buckets: dict[float, float] = field(default_factory=dict)

    @property
    def server_error_share(self) -> float | None:
        return self.server_errors / self.requests if self.requests else None

    @property
    def client_error_share(self) -> float | None:
        return self.client_errors / self.requests if self.requests else None

    def quantile_ms(self, share: float) -> float | None:
        seconds = quantile(self.buckets, share)
        return None if seconds is None else seconds * 1000

    def add(self, labels: Labels, count: float) -> None:
        """Add a count of responses with a status, or of latencies up to a limit."""
        if "le" in labels:
            limit = float(labels["le"])
            self.buckets[limit] = self.buckets.get(limit, 0) + count
            return
        self.requests += count
        self.client_errors += count if labels["status"].startswith("4") else 0
        self.server_errors += count if labels["status"].startswith("5") else 0


def traffic_of(samples: Samples) -> tuple[Traffic, dict[tuple[str, str], Traffic]]:
    """Return the traffic of the whole API, and of each method and route."""
    whole, routes = Traffic(), defaultdict[tuple[str, str], Traffic](Traffic)
    for name in (RESPONSES, f"{LATENCY}_bucket"):
        for labels, value in samples.labelled(name):
            if labels["view"].startswith(API_PREFIX):
                whole.add(labels, value)
                routes[labels["method"], labels["view"]].add(labels, value)
    return whole, routes


def quantile(buckets: dict[float, float], share: float) -> float | None:
    """Estimate a quantile as Prometheus' histogram_quantile does: linearly within a bucket. None without values."""
    limits = sorted(buckets)
    if not limits or not buckets[limits[-1]]:
        return None
    rank, lower, below = share * buckets[limits[-1]], 0.0, 0.0
    for limit in limits:
        if buckets[limit] >= rank:
            if limit == float("inf"):
                return lower
            return lower + (limit - lower) * (rank - below) / ((buckets[limit] - below) or 1)
        lower, below = limit, buckets[limit]
    return lower
