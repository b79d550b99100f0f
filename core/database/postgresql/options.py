"""How each PostgreSQL connection is set up. An option that the DSN names wins over the one here."""

from typing import Any

from django.conf import settings
from django.db import connection
from django.db.backends.signals import connection_created

CONNECT_TIMEOUT_SECONDS = 3

OPTIONS = {
    # Whose connections these are, in pg_stat_activity and in the server's log.
    "application_name": "agent-router",
    # A host that swallows packets holds up one thread no longer than this; libpq itself would wait for ever.
    "connect_timeout": str(CONNECT_TIMEOUT_SECONDS),
    # A server that vanished without closing its connections (a power cut, a firewall that forgot them) is found out
    # while a connection is idle (30 s, then 3 probes 5 s apart) ...
    "keepalives_idle": "30",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    # ... and while an answer is awaited: what it has not acknowledged for 10 s ends the connection.
    "tcp_user_timeout": "10000",
}
# Sent with the connection's first packet. Times cast to text are read as UTC (core/values.py), so the session's
# zone is no matter of taste; set here, it costs no round trip. PgBouncer refuses such options and keeps track of the
# zone that Django sets. Compiling a plan takes longer than any of these statements should.
STARTUP_OPTIONS = "-c TimeZone=UTC -c jit=off"
# Django's cursors put values into the SQL themselves, and then there is nothing to prepare: that is for queries of
# the ORM, which are many and rare. The hot ones are compiled and prepared (core/database/postgresql/fast_path.py).
PREPARE_THRESHOLD = None


def connection_options(named: dict[str, str], *, is_behind_pgbouncer: bool) -> dict[str, Any]:
    """Django's OPTIONS for a PostgreSQL database; `named` are the DSN's own."""
    options = OPTIONS if is_behind_pgbouncer else OPTIONS | {"options": STARTUP_OPTIONS}
    return {**options, **named, "prepare_threshold": PREPARE_THRESHOLD}


def is_behind_pgbouncer() -> bool:
    """Whether PgBouncer may give each transaction of this thread's connection to another server process."""
    return bool(connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"))


def statement_timeout_seconds() -> int:
    """How long the server may work on a statement."""
    seconds: int = getattr(settings, "DB_STATEMENT_TIMEOUT", lock_timeout_seconds() + 5)
    return seconds


def lock_timeout_seconds() -> int:
    """How long a statement may wait for a lock."""
    # A repeat of a request waits for the first one at the lock of its key's record.
    seconds: int = getattr(settings, "DB_LOCK_TIMEOUT", settings.IDEMPOTENCY_WAIT)
    return seconds


def waits(*, for_transaction: bool) -> str:
    """SQL by which the server limits how long it works and waits for a request, in a session or a transaction."""
    limits = {
        "statement_timeout": statement_timeout_seconds(),
        "lock_timeout": lock_timeout_seconds(),
        # A process that was stopped in the middle of a transaction must not keep its locks.
        "idle_in_transaction_session_timeout": statement_timeout_seconds(),
    }
    is_local = str(for_transaction).lower()
    return "SELECT " + ", ".join(f"set_config('{name}', '{limit}s', {is_local})" for name, limit in limits.items())


def limit_new_connections() -> None:
    """Has the server limit what it does on each connection that this process opens from now on.

    Called where requests are served: a migration may take its time.
    """
    connection_created.connect(_limit, dispatch_uid="core.database.postgresql.options")


def _limit(*, connection: Any, **_: Any) -> None:
    # Behind PgBouncer a session has no settings: each transaction brings its own along.
    if connection.vendor == "postgresql" and not connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
        connection.connection.execute(waits(for_transaction=False))
