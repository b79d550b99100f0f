"""What the service measures, and GET /metrics (Prometheus).

The names of HTTP requests are django-prometheus', fed by core/middleware/access_log.py: its own
middleware hops to a thread and back, and counts the same request a dozen times over. Its database back ends
(core/database/backends), cache back ends and migration metrics are in use. With several workers the values are kept
in files: core/telemetry/multiprocess.py.
"""

import asyncio
from collections.abc import Sequence

from django_prometheus import migrations
from django_prometheus.conf import NAMESPACE
from prometheus_client import REGISTRY, Counter, Gauge, Histogram

from core.telemetry.tally import observe_all

# What a client may put into the method is without bounds, the label must not be.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
# Most answers take a few milliseconds, where django-prometheus' own buckets begin at ten.
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

RESPONSES = Counter(
    "django_http_responses_total_by_status_view_method",
    "Responses by status, route template and method",
    ["status", "view", "method"],
    namespace=NAMESPACE,
)
LATENCY_SECONDS = Histogram(
    "django_http_requests_latency_seconds_by_view_method",
    "Time from a request's arrival to its response, by route template and method",
    ["view", "method"],
    buckets=LATENCY_BUCKETS,
    namespace=NAMESPACE,
)
REQUESTS_IN_FLIGHT = Gauge(
    "django_http_requests_in_flight", "Requests that are being answered or wait for that", multiprocess_mode="livesum"
)
LOOP_LAG_SECONDS = Histogram(
    "event_loop_lag_seconds",
    "How much later than asked for the event loop called back: what every request waited at that moment",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1),
)
BUILD_INFO = Gauge(
    "agent_router_build_info", "1, by what runs", ["version", "django", "python"], multiprocess_mode="livemax"
)
LOG_LINES_DROPPED = Counter("log_lines_dropped_total", "Log lines that their reader was too slow for")

IDEMPOTENT_REPLAYS = Counter("idempotent_replays_total", "Responses replayed for a repeated Idempotency-Key")
# django-prometheus' own would have a series for each worker, by a process id that no client of ours could read, and
# which would tell for ever of migrations that were pending when that worker looked.
for _name, _what in (("unapplied", "are not applied"), ("applied", "are applied")):
    REGISTRY.unregister(getattr(migrations, f"{_name}_migrations"))
    _gauge = Gauge(
        f"django_migrations_{_name}_total",
        f"Migrations that {_what}, by database connection",
        ["connection"],
        namespace=NAMESPACE,
        multiprocess_mode="livemostrecent",
    )
    setattr(migrations, f"{_name}_migrations", _gauge)
RATE_LIMITED = Counter("rate_limited_total", "Requests refused by a rate limit", ["policy"])


type Series = tuple[Counter, Histogram]


_series: dict[tuple[str | None, str, int], Series] = {}


def count_requests(method: str | None, view: str, status: int, seconds: Sequence[float]) -> None:
    """Counts requests of one kind and their latencies. `view` must be one of a bounded number of names."""
    try:
        responses, latency = _series[method, view, status]
    except KeyError:
        responses, latency = _series_of(method, view, status)
    responses.inc(len(seconds))
    # Together: the locks of a single observation, and with several workers its files, cost more than all else.
    observe_all(latency, seconds)


def _series_of(method: str | None, view: str, status: int) -> Series:
    known = method if method in METHODS else "OTHER"
    found = RESPONSES.labels(status, view, known), LATENCY_SECONDS.labels(view, known)
    if known == method:
        _series[method, view, status] = found
    return found


class Tally:
    """The requests that were answered in one turn of the event loop, counted together at its end."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[str | None, str, int], list[float]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, method: str | None, view: str, status: int, seconds: float) -> None:
        """Has the request counted."""
        loop = asyncio.get_running_loop()
        if not self._seconds or self._loop is not loop:
            self._loop = loop
            loop.call_soon(self._count)
        self._seconds.setdefault((method, view, status), []).append(seconds)

    def _count(self) -> None:
        counted, self._seconds = self._seconds, {}
        for kind, seconds in counted.items():
            count_requests(*kind, seconds)


tally = Tally()
