"""Numbers for people, out of the metrics that Prometheus gets: of this process, or the sums of all workers."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from prometheus_client import REGISTRY

from core.telemetry import multiprocess

type Labels = dict[str, str]

RESPONSES = "django_http_responses_total_by_status_view_method_total"
LATENCY = "django_http_requests_latency_seconds_by_view_method"
COUNTERS = (
    RESPONSES,
    f"{LATENCY}_bucket",
    f"{LATENCY}_sum",
    f"{LATENCY}_count",
    "rate_limited_total",
    "django_cache_get_total",
    "django_cache_get_hits_total",
    "redis_round_trip_seconds_sum",
    "redis_round_trip_seconds_count",
    "redis_failures_total",
    "event_loop_lag_seconds_bucket",
)
GAUGES = ("django_http_requests_in_flight", "redis_up", "redis_breaker_state", "db_pool_size", "db_pool_jobs")

API_PREFIX = "/v1/"


class Samples(NamedTuple):
    """Values of the metrics at a moment, or what has been added between two; by name, then by labels."""

    values: dict[str, dict[tuple[tuple[str, str], ...], float]]

    def __sub__(self, earlier: "Samples") -> "Samples":
        """What was counted since. The gauges are those of now."""
        since = dict(self.values)
        for name in COUNTERS:
            before = earlier.values.get(name, {})
            # A worker that was restarted elsewhere may have taken its counts along.
            since[name] = {key: max(0.0, value - before.get(key, 0.0)) for key, value in self.of(name).items()}
        return Samples(since)

    def of(self, name: str) -> dict[tuple[tuple[str, str], ...], float]:
        """All series of the name."""
        return self.values.get(name, {})

    def labelled(self, name: str) -> Iterator[tuple[Labels, float]]:
        """All series of the name, with labels to look up."""
        return ((dict(key), value) for key, value in self.of(name).items())

    def total(self, name: str, matches: Callable[[Labels], bool] = lambda _: True) -> float:
        """The sum of the series that match."""
        return sum(value for labels, value in self.labelled(name) if matches(labels))


def take_samples() -> Samples:
    """The values now. Reads files if there are several workers: not for the event loop."""
    wanted = frozenset((*COUNTERS, *GAUGES))
    values: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
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
    """Requests of the API, or of one of its routes."""

    requests: float = 0
    client_errors: float = 0
    server_errors: float = 0
    seconds: float = 0
    buckets: dict[float, float] = field(default_factory=dict)

    @property
    def server_error_share(self) -> float | None:
        """From 0 to 1; None without requests."""
        return self.server_errors / self.requests if self.requests else None

    @property
    def client_error_share(self) -> float | None:
        """From 0 to 1; None without requests."""
        return self.client_errors / self.requests if self.requests else None

    def quantile_ms(self, share: float) -> float | None:
        """How many milliseconds so large a share of the requests took at most, as near as the buckets tell."""
        found = quantile(self.buckets, share)
        return None if found is None else found * 1000


def traffic_of(samples: Samples) -> tuple[Traffic, dict[tuple[str, str], Traffic]]:
    """The API's traffic: all of it, and by method and route."""
    whole, routes = Traffic(), dict[tuple[str, str], Traffic]()

    def each(name: str) -> Iterator[tuple[Labels, float, Traffic]]:
        for labels, value in samples.labelled(name):
            if labels["view"].startswith(API_PREFIX):
                route = routes.setdefault((labels["method"], labels["view"]), Traffic())
                yield labels, value, route
                yield labels, value, whole

    for labels, value, traffic in each(RESPONSES):
        traffic.requests += value
        traffic.client_errors += value if labels["status"].startswith("4") else 0
        traffic.server_errors += value if labels["status"].startswith("5") else 0
    for _, value, traffic in each(f"{LATENCY}_sum"):
        traffic.seconds += value
    for labels, value, traffic in each(f"{LATENCY}_bucket"):
        limit = float(labels["le"])
        traffic.buckets[limit] = traffic.buckets.get(limit, 0) + value
    return whole, routes


def quantile(buckets: dict[float, float], share: float) -> float | None:
    """Prometheus' histogram_quantile: by a straight line through the bucket; None if nothing was observed."""
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
