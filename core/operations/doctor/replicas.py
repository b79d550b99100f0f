"""Read replicas: reachable, replicas of the primary, up to date."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection

from core.database.postgresql.connection import use_server
from core.database.postgresql.outage import Outage
from core.database.postgresql.replica import name_of, wait_and_find_status
from core.database.postgresql.wal_position import Position, StandbyStatus, find_system, find_written
from core.operations.doctor.findings import Finding, error, ok, warning


def check() -> Iterator[Finding]:
    """Check each replica. Needs an open connection to a primary."""
    system = find_system() if settings.DB_REPLICAS else 0
    for entry in settings.DB_REPLICAS:
        written, name = find_written(), name_of(entry)
        try:
            # Django opens a separate connection in each thread.
            with ThreadPoolExecutor(1) as thread:
                standing = thread.submit(_look_at, entry, written).result()
        except DatabaseError as failure:
            yield warning(
                f"The read replica {name} is unreachable: {str(failure).strip()}",
                "Check that it runs, and DB_REPLICA_DSN. Until then, the primary serves its reads",
            )
        else:
            yield _judge(name, standing, system=system, written=written)


def _look_at(entry: dict[str, Any], written: Position) -> StandbyStatus:
    use_server(entry, Outage(is_logged=False))
    try:
        return wait_and_find_status(written)
    finally:
        connection.close()


def _judge(name: str, standing: StandbyStatus, *, system: int, written: Position) -> Finding:
    if standing.system != system or standing.replayed is None:
        return error(
            f"{name} is not a replica of the server in DB_DSN, and is not used",
            "Set DB_REPLICA_DSN to hot standbys that stream from that server, one entry for each",
        )
    if written.timeline not in standing.timelines or standing.replayed < written.at:
        return warning(
            f"The read replica {name} is behind the primary, which serves its reads",
            "Check pg_stat_replication on the primary: it shows whether the replica is connected",
        )
    return ok(f"The read replica {name} is up to date")
