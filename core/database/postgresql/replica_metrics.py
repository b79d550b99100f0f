"""Metrics of read replicas."""

from prometheus_client import Counter, Gauge

LAG_SECONDS = Gauge(
    "db_replica_lag_seconds",
    "How long ago the primary wrote the oldest change that the replica has not replayed",
    ["replica"],
    multiprocess_mode="livemax",
)
IN_USE = Gauge(
    "db_replica_in_use",
    "1 while the replica takes reads, 0 while it is excluded",
    ["replica"],
    multiprocess_mode="livemin",
)
LEFT_OUT = Counter("db_replica_left_out_total", "Times that the replica was excluded", ["replica", "reason"])
READS = Counter("db_replica_reads_total", "Reads that a replica may serve, by the server that served them", ["server"])
