"""What Prometheus is told about accounts. Nothing here has a label that a client can choose."""

from prometheus_client import Counter, Gauge

events = Counter("auth_events_total", "What happened to accounts, sessions and keys, as in the audit log.", ["event"])
refresh_reuse = Counter(
    "auth_refresh_reuse_total", "Used refresh tokens that were presented again; each ended its session."
)
hashing_places_taken = Gauge(
    "auth_hashing_places_taken",
    "Log-ins that hash a password or wait for it.",
    multiprocess_mode="livesum",
)
hashing_refused = Counter("auth_hashing_refused_total", "Log-ins that were answered 503, the queue being full.")
key_uses_lost = Counter("auth_api_key_uses_lost_total", "Uses of API keys of which the time could not be written.")
