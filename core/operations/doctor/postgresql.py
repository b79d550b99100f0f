"""PostgreSQL: durability, timeouts, number of connections, TLS, encoding, role."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db import connection

from core.operations.doctor import replicas
from core.operations.doctor.findings import Finding, error, info, ok, warning
from core.operations.doctor.workers import count_workers

# The consequence of each setting that is off.
UNSAFE = {
    "fsync": "A power failure can damage the whole database",
    "full_page_writes": "A power failure can damage the whole database",
    "synchronous_commit": "A power failure loses acknowledged changes",
}


def check() -> Iterator[Finding]:
    """Check the server. Needs an open connection."""
    yield from _durability()
    yield from _timeouts()
    yield from _connections()
    yield from _transport()
    if _setting("server_encoding") != "UTF8":
        yield error("The database's encoding is not UTF8", "Recreate it with CREATE DATABASE … ENCODING 'UTF8'")
    if _value("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
        yield warning(
            "The service is a superuser of the database server",
            "Create a role for it: CREATE ROLE app LOGIN PASSWORD …; ALTER DATABASE … OWNER TO app",
        )
    if not _value("SELECT pg_is_in_recovery()"):
        yield from replicas.check()


def _durability() -> Iterator[Finding]:
    if _value("SELECT pg_is_in_recovery()"):
        yield error("The server is a standby and read-only", "Set DB_DSN to the primary")
    unsafe = [name for name in UNSAFE if _setting(name) == "off"]
    for name in unsafe:
        yield error(f"{name} is off. {UNSAFE[name]}", f"ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf()")
    if not unsafe:
        yield ok("Acknowledged changes survive a power failure: fsync, full_page_writes, synchronous_commit")


def _timeouts() -> Iterator[Finding]:
    """Yield findings about timeouts of the role. The service sets its own for each connection."""
    if (limit := _setting("statement_timeout")) != "0":
        yield info(
            f"statement_timeout is {limit}: migrations and search indexes that take longer fail",
            f"ALTER ROLE {_value('SELECT current_user')} RESET statement_timeout; requests have their own limit",
        )


def _connections() -> Iterator[Finding]:
    available = int(_setting("max_connections")) - int(_setting("superuser_reserved_connections"))
    wanted = count_workers() * settings.DB_POOL_SIZE
    if settings.DB_BEHIND_PGBOUNCER:
        yield ok(f"This host opens up to {wanted} connections to PgBouncer (workers times DB_POOL_SIZE)")
    elif wanted > available:
        yield error(
            f"{wanted} connections (workers times DB_POOL_SIZE) exceed the server's limit of {available}",
            "Lower DB_POOL_SIZE or WORKERS, or raise max_connections; count all hosts that run the service",
        )
    else:
        yield ok(f"This host opens up to {wanted} of {available} connections (workers times DB_POOL_SIZE)")


def _transport() -> Iterator[Finding]:
    host = connection.settings_dict["HOST"]
    is_local = not host or host.startswith("/") or host in ("localhost", "127.0.0.1", "::1")
    # pg_stat_ssl would describe PgBouncer's connection to the server.
    if not is_local and not connection.connection.pgconn.ssl_in_use:
        yield warning(
            f"The connection to {host} is not encrypted",
            "Enable TLS on the server, and add ?sslmode=verify-full&sslrootcert=… to DB_DSN",
        )


def _setting(name: str) -> str:
    return str(_value("SELECT current_setting(%s)", name))


def _value(query: str, *parameters: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        [value] = cursor.fetchone()
        return value
