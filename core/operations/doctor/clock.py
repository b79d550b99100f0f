"""The clock, compared with the clocks of the database and Redis. Tokens, rate limits and lockouts depend on it."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.recorder import MigrationRecorder

from core.operations.backup.postgresql import read_value
from core.operations.doctor import sqlite_file
from core.operations.doctor.findings import Finding, error, ok, warning
from core.redis.client import RedisClient

WARNING_SECONDS = 2.0
ERROR_SECONDS = 30.0
SYNCHRONIZE = "Synchronize the clocks of both machines (chrony, systemd-timesyncd)"


def check() -> Iterator[Finding]:
    has_compared = False
    for name, read in (("the database", _database), ("Redis", _redis)):
        before = time.time()
        there = read()
        # Assumes that the other clock was read halfway through the call.
        here = (before + time.time()) / 2
        if there is not None:
            has_compared = True
            yield _compare(name, there - here)
    if not has_compared:
        yield ok("There is no other clock to compare with")
    yield from _migrations_in_the_future()


def _compare(name: str, ahead_seconds: float) -> Finding:
    direction = "ahead of" if ahead_seconds > 0 else "behind"
    message = f"The clock of {name} is {abs(ahead_seconds):.1f} s {direction} this machine's clock"
    if abs(ahead_seconds) > ERROR_SECONDS:
        return error(f"{message}: hosts may reject each other's tokens", SYNCHRONIZE)
    if abs(ahead_seconds) > WARNING_SECONDS:
        return warning(message, SYNCHRONIZE)
    return ok(message)


def _database() -> float | None:
    if connection.vendor == "sqlite":  # it uses this machine's clock
        return None
    try:
        return float(read_value("SELECT extract(epoch FROM clock_timestamp())"))
    except DatabaseError:  # the database check reports the error
        return None


def _redis() -> float | None:
    return asyncio.run(_ask_redis()) if settings.REDIS_URL else None


async def _ask_redis() -> float | None:
    client = RedisClient()
    await client.open()
    try:
        replies = await client.call([("TIME",)])
    finally:
        await client.close()
    if not replies:
        return None
    seconds, microseconds = replies[0]
    return int(seconds) + int(microseconds) / 1_000_000


def _migrations_in_the_future() -> Iterator[Finding]:
    if sqlite_file.missing():
        return
    try:
        newest = MigrationRecorder(connection).migration_qs.order_by("-applied").first()
    except DatabaseError:  # the database check reports the error
        return
    if newest is None:
        return
    ahead_seconds = (newest.applied - datetime.now(UTC)).total_seconds()
    if ahead_seconds > WARNING_SECONDS:
        yield error(
            f"This machine's clock is behind: it is {ahead_seconds:.0f} s before the time of the last migration",
            "Set the clock",
        )
