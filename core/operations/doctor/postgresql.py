"""PostgreSQL: durability, timeouts, number of connections, TLS, encoding, role, read replicas."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection

from core.database.postgresql.connection import use_server
from core.database.postgresql.outage import Outage
from core.database.postgresql.replica import name_of, wait_and_find_status
from core.database.postgresql.wal_position import Position, StandbyStatus, find_system, find_written
from core.operations.backup.postgresql import read_value
from core.operations.doctor.findings import Finding, error, info, ok, warning
from core.operations.doctor.workers import count_workers

# The consequence of each setting that is off.
UNSAFE = {
    "fsync": "A power failure can damage the whole database",
    "full_page_writes": "A power failure can damage the whole database",
    "synchronous_commit": "A power failure loses acknowledged changes",
}


def check() -> Iterator[Finding]:
    yield from _durability()
    yield from _timeouts()
    yield from _connections()
    yield from _transport()
    if _setting("server_encoding") != "UTF8":
        yield error("The database's encoding is not UTF8", "Recreate it with CREATE DATABASE … ENCODING 'UTF8'")
    if read_value("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
        yield warning(
            "The service is a superuser of the database server",
            "Create a role for it: CREATE ROLE app LOGIN PASSWORD …; ALTER DATABASE … OWNER TO app",
        )
    if not read_value("SELECT pg_is_in_recovery()"):
        yield from _replicas()


def _durability() -> Iterator[Finding]:
    if read_value("SELECT pg_is_in_recovery()"):
        yield error("The server is a standby and read-only", "Set DB_DSN to the primary")
    unsafe = [name for name in UNSAFE if _setting(name) == "off"]
    for name in unsafe:
        yield error(f"{name} is off. {UNSAFE[name]}", f"ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf()")
    if not unsafe:
        yield ok("Acknowledged changes survive a power failure: fsync, full_page_writes, synchronous_commit")


def _timeouts() -> Iterator[Finding]:
    # The service sets its own limit for each connection; only commands run with the limit of the role.
    if (limit := _setting("statement_timeout")) != "0":
        yield info(
            f"statement_timeout is {limit}: migrations and search indexes that take longer fail",
            f"ALTER ROLE {read_value('SELECT current_user')} RESET statement_timeout; requests have their own limit",
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


def _replicas() -> Iterator[Finding]:
    system = find_system() if settings.DB_REPLICAS else 0
    for entry in settings.DB_REPLICAS:
        written, name = find_written(), name_of(entry)
        try:
            # Django opens a separate connection in each thread.
            with ThreadPoolExecutor(1) as thread:
                standby = thread.submit(_read_status, entry, written).result()
        except DatabaseError as failure:
            yield warning(
                f"The read replica {name} is unreachable: {str(failure).strip()}",
                "Check that it runs, and DB_REPLICA_DSN. Until then, the primary serves its reads",
            )
        else:
            yield _judge(name, standby, system=system, written=written)


def _read_status(entry: dict[str, Any], written: Position) -> StandbyStatus:
    use_server(entry, Outage(is_logged=False))
    try:
        return wait_and_find_status(written)
    finally:
        connection.close()


def _judge(name: str, standby: StandbyStatus, *, system: int, written: Position) -> Finding:
    if standby.system != system or standby.replayed is None:
        return error(
            f"{name} is not a replica of the server in DB_DSN, and is not used",
            "Set DB_REPLICA_DSN to hot standbys that stream from that server, one entry for each",
        )
    if written.timeline not in standby.timelines or standby.replayed < written.at:
        return warning(
            f"The read replica {name} is behind the primary, which serves its reads",
            "Check pg_stat_replication on the primary: it shows whether the replica is connected",
        )
    return ok(f"The read replica {name} is up to date")


def _setting(name: str) -> str:
    return str(read_value("SELECT current_setting(%s)", name))
