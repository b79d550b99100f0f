"""The clock, against those of the database and of Redis: tokens, limits and lockouts go by it."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.recorder import MigrationRecorder

from core.operations.doctor import sqlite_file
from core.operations.doctor.findings import Finding, error, ok, warning
from core.redis.client import RedisClient

NOTICEABLE_SECONDS = 2.0
TOO_MUCH_SECONDS = 30.0
SYNCHRONIZE = "Synchronize the clocks of both machines (chrony, systemd-timesyncd)"


def check() -> Iterator[Finding]:
    """Half of the time that asking took is taken off."""
    compared = []
    for name, read in (("the database", _database), ("Redis", _redis)):
        before = time.time()
        there = read()
        here = (before + time.time()) / 2
        if there is not None:
            compared.append(name)
            yield from _judge(name, there - here)
    if not compared:
        yield ok("There is no other clock to compare this machine's with")
    yield from _future()


def _judge(name: str, ahead_seconds: float) -> Iterator[Finding]:
    told = f"The clock of {name} is {abs(ahead_seconds):.1f} s {'ahead of' if ahead_seconds > 0 else 'behind'} this one"
    if abs(ahead_seconds) > TOO_MUCH_SECONDS:
        yield error(f"{told}: tokens may be refused on one host that another has made", SYNCHRONIZE)
    elif abs(ahead_seconds) > NOTICEABLE_SECONDS:
        yield warning(told, SYNCHRONIZE)
    else:
        yield ok(told)


def _database() -> float | None:
    """PostgreSQL's time. SQLite's is this machine's."""
    if connection.vendor == "sqlite":
        return None
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
            return float(cursor.fetchone()[0])
    except DatabaseError:  # told under its own heading
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
    return int(replies[0][0]) + int(replies[0][1]) / 1_000_000 if replies else None


def _future() -> Iterator[Finding]:
    """A clock that went wrong is often seen by what the database holds."""
    if sqlite_file.missing():
        return
    try:
        newest = MigrationRecorder(connection).migration_qs.order_by("-applied").first()
    except DatabaseError:
        return
    if newest is not None and (ahead := (newest.applied - datetime.now(UTC)).total_seconds()) > NOTICEABLE_SECONDS:
        yield error(
            f"This clock is behind: the last migration was applied {ahead:.0f} s from now", "Set the clock right"
        )
