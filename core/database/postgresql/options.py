"""The options of each PostgreSQL connection. An option in the DSN takes precedence."""

from typing import Any

from django.conf import settings
from django.db import connection
from django.db.backends.signals import connection_created

OPTIONS = {
    # Shown in pg_stat_activity and in the server's log.
    "application_name": "agent-router",
    # libpq would wait forever for a host that drops packets.
    "connect_timeout": "3",
    # Detects a server that vanished while the connection is idle: after 30 s, 3 probes 5 s apart.
    "keepalives_idle": "30",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    # The same while the service awaits an answer: the server must acknowledge packets within 10 s.
    "tcp_user_timeout": "10000",
}
# Sent with the first packet, so they cost no round trip. Times cast to text are read as UTC (core/values.py).
# JIT compilation would take longer than these statements. PgBouncer refuses such options, and Django sets the zone.
STARTUP_OPTIONS = "-c TimeZone=UTC -c jit=off"


def connection_options(dsn_options: dict[str, str], *, is_behind_pgbouncer: bool) -> dict[str, Any]:
    options = OPTIONS if is_behind_pgbouncer else OPTIONS | {"options": STARTUP_OPTIONS}
    # Only compiled statements are prepared: Django's cursors inline the values.
    return {**options, **dsn_options, "prepare_threshold": None}


def is_behind_pgbouncer() -> bool:
    """Whether PgBouncer may run each transaction of this thread's connection in another session."""
    return bool(connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"))


def statement_timeout_seconds() -> int:
    seconds: int = getattr(settings, "DB_STATEMENT_TIMEOUT", lock_timeout_seconds() + 5)
    return seconds


def lock_timeout_seconds() -> int:
    # A repeated request waits at the lock of its idempotency record until the first request ends.
    seconds: int = getattr(settings, "DB_LOCK_TIMEOUT", settings.IDEMPOTENCY_WAIT)
    return seconds


def set_timeouts_sql(*, for_transaction: bool) -> str:
    timeouts = {
        "statement_timeout": statement_timeout_seconds(),
        "lock_timeout": lock_timeout_seconds(),
        # A process that was suspended during a transaction must not keep its locks.
        "idle_in_transaction_session_timeout": statement_timeout_seconds(),
    }
    is_local = str(for_transaction).lower()
    return "SELECT " + ", ".join(f"set_config('{name}', '{limit}s', {is_local})" for name, limit in timeouts.items())


def limit_new_connections() -> None:
    """Set the timeouts in every new connection. Only the service calls this: a migration may take its time."""
    connection_created.connect(_set_timeouts, dispatch_uid="core.database.postgresql.options")


def _set_timeouts(*, connection: Any, **_: Any) -> None:
    # PgBouncer keeps no session settings: there, each transaction sets the timeouts.
    if connection.vendor == "postgresql" and not connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
        connection.connection.execute(set_timeouts_sql(for_transaction=False))
