"""PostgreSQL: what it promises about commits, what it cuts off, how many connections there are, who listens."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db import connection

from core.operations.doctor import replicas
from core.operations.doctor.findings import Finding, error, info, ok, warning
from core.operations.doctor.workers import count_workers

# What it is → what is wrong if it is that.
UNSAFE = {
    "fsync": "A power cut can damage the whole database",
    "full_page_writes": "A power cut can damage the whole database",
    "synchronous_commit": "A power cut loses changes that were acknowledged",
}


def check() -> Iterator[Finding]:
    """Needs an open connection."""
    yield from _safety()
    yield from _timeouts()
    yield from _connections()
    yield from _transport()
    if _show("server_encoding") != "UTF8":
        yield error("The database's encoding is not UTF8", "Make it anew: CREATE DATABASE … ENCODING 'UTF8'")
    if _ask("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
        yield warning(
            "The service is a superuser of the database server",
            "Give it a role of its own: CREATE ROLE app LOGIN PASSWORD …; ALTER DATABASE … OWNER TO app",
        )
    if not _ask("SELECT pg_is_in_recovery()"):
        yield from replicas.check()


def _safety() -> Iterator[Finding]:
    if _ask("SELECT pg_is_in_recovery()"):
        yield error("The server is a standby, which takes no changes", "Have DB_DSN name the primary")
    wrong = [name for name in UNSAFE if _show(name) == "off"]
    for name in wrong:
        yield error(f"{name} is off. {UNSAFE[name]}", f"ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf()")
    if not wrong:
        yield ok("Acknowledged changes survive a power cut: fsync, full_page_writes, synchronous_commit")


def _timeouts() -> Iterator[Finding]:
    """Yield findings about timeouts of the role. The service sets its own for each connection."""
    if (limit := _show("statement_timeout")) != "0":
        yield info(
            f"statement_timeout is {limit}: a migration, or an index for searches, that takes longer fails",
            f"ALTER ROLE {_ask('SELECT current_user')} RESET statement_timeout: requests are limited all the same",
        )


def _connections() -> Iterator[Finding]:
    most = int(_show("max_connections")) - int(_show("superuser_reserved_connections"))
    wanted = count_workers() * settings.DB_POOL_SIZE
    if settings.DB_BEHIND_PGBOUNCER:
        yield ok(f"PgBouncer takes up to {wanted} connections of this host (workers times DB_POOL_SIZE)")
    elif wanted > most:
        yield error(
            f"{wanted} connections (workers times DB_POOL_SIZE) are more than the {most} that the server gives",
            "Lower DB_POOL_SIZE or WORKERS, or raise max_connections; count every host that runs the service",
        )
    else:
        yield ok(f"This host takes up to {wanted} of {most} connections (workers times DB_POOL_SIZE)")


def _transport() -> Iterator[Finding]:
    host = connection.settings_dict["HOST"]
    is_local = not host or host.startswith("/") or host in ("localhost", "127.0.0.1", "::1")
    # Not pg_stat_ssl, which tells of PgBouncer's own connection to the server.
    if not is_local and not connection.connection.pgconn.ssl_in_use:
        yield warning(
            f"What goes to {host} and back can be read on the way",
            "Switch TLS on at the server, and add ?sslmode=verify-full&sslrootcert=… to DB_DSN",
        )


def _show(name: str) -> str:
    return str(_ask("SELECT current_setting(%s)", name))


def _ask(question: str, *parameters: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(question, parameters)
        [answer] = cursor.fetchone()
        return answer
