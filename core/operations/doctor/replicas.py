"""The read replicas: in reach, replicas of DB_DSN's server, and no further behind than a read can wait."""

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
    """Needs an open connection to a primary."""
    system = find_system() if settings.DB_REPLICAS else 0
    for entry in settings.DB_REPLICAS:
        written, name = find_written(), name_of(entry)
        try:
            # A thread has a connection of its own.
            with ThreadPoolExecutor(1) as thread:
                standing = thread.submit(_look_at, entry, written).result()
        except DatabaseError as failure:
            yield warning(
                f"The read replica {name} is out of reach: {str(failure).strip()}",
                "Is it running, and right in DB_REPLICA_DSN? Until it is, the primary takes its reads",
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
            f"{name} is no replica of the server that DB_DSN names, and takes no reads",
            "Have DB_REPLICA_DSN name hot standbys that stream from it, and each by itself",
        )
    if written.timeline not in standing.timelines or standing.replayed < written.at:
        return warning(
            f"The read replica {name} is too far behind the primary, which takes its reads",
            "On the primary, pg_stat_replication tells whether it is connected and what it waits for",
        )
    return ok(f"The read replica {name} has all that the primary has")
