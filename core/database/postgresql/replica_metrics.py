"""What /metrics tells of read replicas."""

from prometheus_client import Counter, Gauge

LAG_SECONDS = Gauge(
    "db_replica_lag_seconds",
    "How long ago the primary wrote what the replica has yet to replay",
    ["replica"],
    multiprocess_mode="livemax",
)
IN_USE = Gauge(
    "db_replica_in_use",
    "1 while the replica takes reads, 0 while it is left out",
    ["replica"],
    multiprocess_mode="livemin",
)
LEFT_OUT = Counter("db_replica_left_out_total", "Times that the replica was left out", ["replica", "reason"])
READS = Counter("db_replica_reads_total", "Reads that could go to a replica, by the server that took them", ["server"])
