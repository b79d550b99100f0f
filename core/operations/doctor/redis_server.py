"""Redis: reachable, fast, supported version, eviction policy."""

import asyncio
from collections.abc import Iterator
from statistics import median
from time import perf_counter
from typing import override
from urllib.parse import urlsplit

from django.conf import settings
from django.core.cache import cache

from core.operations.doctor.findings import Finding, error, info, ok, warning
from core.redis.client import RedisClient

PINGS = 20
OLDEST_VERSION = (6, 2)
EVICTING_POLICIES = ("allkeys-lru", "allkeys-lfu", "volatile-ttl", "volatile-lru", "volatile-lfu")
LOCAL_HOSTS = {"", "localhost", "127.0.0.1", "::1"}


class Client(RedisClient):
    reason = ""

    @override
    def mark_down(self, reason: str) -> None:
        self.reason = reason


def check() -> Iterator[Finding]:
    if not settings.REDIS_URL:
        yield info(
            "REDIS_URL is empty: each process counts rate limits itself, and nothing caches items",
            "Set REDIS_URL if the service has several processes",
        )
        return
    facts, latencies, reason = asyncio.run(_measure())
    if not latencies:
        problem = error if settings.REDIS_REQUIRED else warning
        yield problem(
            f"Redis is unreachable: {reason.rstrip('.') or 'timeout'}. The service runs without it",
            "Check that Redis runs, and host, port and password in REDIS_URL",
        )
        return
    yield from _server(facts)
    yield from _latency(latencies)
    yield from _transport()
    yield from _django_cache()


async def _measure() -> tuple[dict[str, str], list[float], str]:
    """Return the fields of INFO, the seconds of each answered PING, and the reason if Redis is down."""
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


def _server(facts: dict[str, str]) -> Iterator[Finding]:
    version = facts.get("redis_version", "")
    if not version:
        yield info("Redis hides its version and policy", "Allow INFO in the ACL of the service's user")
        return
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_VERSION:
        yield error(f"Redis {version} is older than {'.'.join(map(str, OLDEST_VERSION))}", "Update Redis")
    else:
        yield ok(f"Redis {version}")
    policy, max_bytes = facts.get("maxmemory_policy", ""), int(facts.get("maxmemory", "0"))
    if not max_bytes:
        yield warning(
            "Redis has no maxmemory: it may use up the machine's memory",
            "CONFIG SET maxmemory 128mb; CONFIG SET maxmemory-policy allkeys-lru",
        )
    elif policy not in EVICTING_POLICIES:
        yield warning(
            f"maxmemory-policy is {policy}: once Redis is full, the service runs without it",
            "CONFIG SET maxmemory-policy allkeys-lru; the service can lose any of its keys without harm",
        )
    else:
        yield ok(f"maxmemory {max_bytes // 1024 // 1024} MiB, {policy}")


def _latency(latencies: list[float]) -> Iterator[Finding]:
    timeout, typical = settings.REDIS_TIMEOUT_SECONDS, median(latencies)
    message = f"Redis answers in {typical * 1000:.1f} ms"
    remedy = "Move Redis to the same network as the service, or reduce its load"
    if len(latencies) < PINGS:
        yield warning(f"Redis answered {len(latencies)} of {PINGS} calls within {timeout * 1000:.0f} ms", remedy)
    elif typical > timeout / 5:
        yield warning(f"{message}, which delays every request", remedy)
    else:
        yield ok(message)


def _transport() -> Iterator[Finding]:
    url = urlsplit(settings.REDIS_URL)
    is_remote = (url.hostname or "") not in LOCAL_HOSTS
    if url.scheme == "redis" and "@" in settings.REDIS_URL and is_remote:
        yield info(
            f"The password for Redis is sent to {url.hostname} unencrypted",
            "Use rediss:// unless you trust the network",
        )


def _django_cache() -> Iterator[Finding]:
    """Check the admin's cache, whose client hides errors."""
    cache.set("doctor", "present", timeout=10)
    if cache.get("doctor") != "present":
        yield warning("Django's cache loses its entries", "Allow the user in REDIS_URL to write all keys")
    else:
        yield ok("Django's cache keeps its entries")
    cache.delete("doctor")
