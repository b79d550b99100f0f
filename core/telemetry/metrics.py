"""The service's metrics, except those that a package keeps next to the code that it measures.

HTTP metrics have django-prometheus' names, but core/middleware/access_log.py feeds them, because django-prometheus'
middleware is synchronous.
"""

from functools import cache

from django_prometheus import migrations
from django_prometheus.conf import NAMESPACE
from prometheus_client import REGISTRY, Counter, Gauge, Histogram

# Clients may send any method. The label must have a bounded number of values.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
# django-prometheus' buckets begin at 10 ms; most responses take less.
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
    "django_http_requests_in_flight", "Requests that are being processed or wait", multiprocess_mode="livesum"
)
RATE_LIMITED = Counter("rate_limited_total", "Requests refused by a rate limit", ["policy"])
IDEMPOTENT_REPLAYS = Counter("idempotent_replays_total", "Responses replayed for a repeated Idempotency-Key")
LOOP_LAG_SECONDS = Histogram(
    "event_loop_lag_seconds",
    "How late the event loop runs a timer, and so how long each request waited at that moment",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1),
)
LOG_LINES_DROPPED = Counter("log_lines_dropped_total", "Log lines dropped because stdout was read too slowly or closed")
BUILD_INFO = Gauge(
    "agent_router_build_info",
    "Always 1; the labels name the versions in use",
    ["version", "django", "python"],
    multiprocess_mode="livemax",
)


def _replace_migration_gauge(state: str) -> None:
    """Replace a gauge of django-prometheus, which would keep a stale series for each worker's process id."""
    name = f"{state}_migrations"
    REGISTRY.unregister(getattr(migrations, name))
    gauge = Gauge(
        f"django_migrations_{state}_total",
        f"Number of {state} migrations, by database connection",
        ["connection"],
        namespace=NAMESPACE,
        multiprocess_mode="livemostrecent",
    )
    setattr(migrations, name, gauge)


_replace_migration_gauge("unapplied")
_replace_migration_gauge("applied")


def count_request(method: str | None, view: str, status: int, seconds: float) -> None:
    """Count a request. The number of values for `view` must be bounded."""
    responses, latency = _series(method if method in METHODS else "OTHER", view, status)
    responses.inc()
    latency.observe(seconds)


@cache
def _series(method: str, view: str, status: int) -> tuple[Counter, Histogram]:
    return RESPONSES.labels(status, view, method), LATENCY_SECONDS.labels(view, method)
