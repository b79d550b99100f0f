"""Metrics of Redis, observed once per batch of commands."""

from prometheus_client import Counter, Gauge, Histogram

UP = Gauge("redis_up", "1 while Redis, or each node of it, is used, else 0", multiprocess_mode="livemin")
BREAKER_STATE = Gauge(
    "redis_breaker_state", "0 closed: Redis is used; 1 open: it, or a node, is only probed", multiprocess_mode="livemax"
)
CONNECTIONS = Gauge("redis_connections", "Open connections of the hot path", multiprocess_mode="livesum")
COMMANDS = Counter("redis_commands_total", "Commands that the hot path sent to Redis")
FAILURES = Counter("redis_failures_total", "Times that Redis could not be used, by what went wrong", ["kind"])
ROUND_TRIP_SECONDS = Histogram(
    "redis_round_trip_seconds",
    "Time from the write of a batch of commands to its last reply",
    buckets=(0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25),
)

# Makes the series exist before the first failure.
for _kind in ("connect", "lost", "timeout", "refused", "moved", "protocol"):
    FAILURES.labels(kind=_kind)
