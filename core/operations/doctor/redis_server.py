"""Redis: in reach, in time, new enough, and throwing the right things away when it is full."""

import asyncio
from collections.abc import Iterator
from statistics import median
from time import perf_counter
from urllib.parse import urlsplit

from django.conf import settings
from django.core.cache import cache

from core.operations.doctor.findings import Finding, error, info, ok, warning
from core.redis.client import RedisClient

PINGS = 20
OLDEST_VERSION = (6, 2)
FULL_POLICIES = ("allkeys-lru", "allkeys-lfu", "volatile-ttl", "volatile-lru", "volatile-lfu")
LOCAL = {"", "localhost", "127.0.0.1", "::1"}


class Client(RedisClient):
    """The service's own, which remembers why Redis is down."""

    reason = ""

    def turn_down(self, reason: str) -> None:
        self.reason = reason


def check() -> Iterator[Finding]:
    """Connects as the service does."""
    if not settings.REDIS_URL:
        yield info(
            "REDIS_URL is empty: each process counts limits by itself, and items come from the database",
            "Fine for one process; with several, set it",
        )
        return
    facts, latencies, reason = asyncio.run(_visit())
    if not latencies:
        make = error if settings.REDIS_REQUIRED else warning
        yield make(
            f"Redis is out of reach: {reason.rstrip('.') or 'no answer in time'}. The service goes on without it",
            "Is it running? Are host, port and password in REDIS_URL right?",
        )
        return
    yield from _facts(facts)
    yield from _latency(latencies)
    yield from _transport()
    yield from _django_cache()


async def _visit() -> tuple[dict[str, str], list[float], str]:
    """What Redis says about itself, seconds that it took to answer, and why it could not be used."""
    client, latencies = Client(), []
    await client.open()
    try:
        replies = await client.call([("INFO",)])
        for _ in range(PINGS):
            began = perf_counter()
            if await client.ping():
                latencies.append(perf_counter() - began)
    finally:
        await client.close()
    text = replies[0].decode("utf-8", "replace") if replies else ""
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line), latencies, client.reason


def _facts(facts: dict[str, str]) -> Iterator[Finding]:
    version = facts.get("redis_version", "")
    if not version:
        yield info("Redis does not tell its version and policy (an ACL?)", "Let the service's user run INFO")
        return
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_VERSION:
        oldest = ".".join(map(str, OLDEST_VERSION))
        yield error(f"Redis {version} is older than {oldest}, the oldest that the scripts are tested with", "Update it")
    else:
        yield ok(f"Redis {version}")
    policy, most = facts.get("maxmemory_policy", ""), int(facts.get("maxmemory", "0"))
    if not most:
        yield warning(
            "Redis has no maxmemory: it may grow until the machine has none left",
            "CONFIG SET maxmemory 128mb; CONFIG SET maxmemory-policy allkeys-lru",
        )
    elif policy not in FULL_POLICIES:
        yield warning(
            f"maxmemory-policy is {policy}: when Redis is full the service goes on without it",
            "CONFIG SET maxmemory-policy allkeys-lru; all that the service keeps there may be lost at any time",
        )
    else:
        yield ok(f"maxmemory {most // 1024 // 1024} MiB, {policy}")


def _latency(latencies: list[float]) -> Iterator[Finding]:
    timeout, usual = settings.REDIS_TIMEOUT_SECONDS, median(latencies)
    told = f"Redis answers in {usual * 1000:.1f} ms"
    if len(latencies) < PINGS:
        yield warning(
            f"Redis answered {len(latencies)} of {PINGS} calls within {timeout * 1000:.0f} ms",
            "Have it nearer, or less busy: calls that take longer are gone on without",
        )
    elif usual > timeout / 5:
        yield warning(f"{told}, and every request waits for it", "Have it nearer, in the same network")
    else:
        yield ok(told)


def _transport() -> Iterator[Finding]:
    scheme, host = urlsplit(settings.REDIS_URL).scheme, urlsplit(settings.REDIS_URL).hostname or ""
    if (
        scheme.startswith("redis")
        and not scheme.startswith("rediss")
        and "@" in settings.REDIS_URL
        and host not in LOCAL
    ):
        yield info(f"The password for Redis goes to {host} in the clear", "Use rediss:// unless the network is yours")


def _django_cache() -> Iterator[Finding]:
    """The other client, that of the admin's cache: it swallows its errors, so what was set must come back."""
    cache.set("doctor", "looks", timeout=10)
    if cache.get("doctor") != "looks":
        yield warning("Django's cache does not keep what it is given", "May the user of REDIS_URL write any key?")
    else:
        yield ok("Django's cache keeps what it is given")
    cache.delete("doctor")
