"""Prometheus metrics of accounts. No label holds a value that a client can choose."""

from prometheus_client import Counter, Gauge

events = Counter("auth_events_total", "Events of accounts, sessions and API keys, as in the audit log.", ["event"])
refresh_reuse = Counter("auth_refresh_reuse_total", "Used refresh tokens that were presented again.")
# The name is older than the word "slot"; dashboards and alerts use it.
hashing_slots_taken = Gauge(
    "auth_hashing_places_taken", "Logins that hash a password or wait to do so.", multiprocess_mode="livesum"
)
hashing_refused = Counter("auth_hashing_refused_total", "Logins answered with 503 because the hashing queue was full.")
key_uses_lost = Counter("auth_api_key_uses_lost_total", "Uses of API keys whose time could not be saved.")
