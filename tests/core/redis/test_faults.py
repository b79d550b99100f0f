"""The Redis client when Redis fails: no call waits beyond the timeout, and the client recovers without help."""

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
import uvloop
from prometheus_client import REGISTRY

from core.redis.client import RedisClient
from core.redis.connection import CONNECT_SECONDS, LONGEST_PAUSE_SECONDS
from tests.ports import free_port
from tests.redis_server import RedisServer
from tests.tcp_proxy import TCPProxy

TIMEOUT_SECONDS = 0.05
# How much longer than the timeout a wait may take on a busy machine.
SLACK_SECONDS = 0.1
BACK_WITHIN_SECONDS = 2.0


def run(job: Callable[[], Awaitable[None]]) -> None:
    """Run on uvloop, as in production."""

    async def main() -> None:
        await job()

    asyncio.run(main(), loop_factory=uvloop.new_event_loop)


@asynccontextmanager
async def opened(url: str, timeout_seconds: float = TIMEOUT_SECONDS) -> AsyncIterator[RedisClient]:
    client = RedisClient()
    await client.open(url, timeout_seconds)
    try:
        yield client
    finally:
        await client.close()


async def until_used(client: RedisClient, word: str = "back", within: float = BACK_WITHIN_SECONDS) -> None:
    deadline = time.monotonic() + within
    while await client.call([("ECHO", word)]) != [word.encode()]:
        assert time.monotonic() < deadline, "Redis is back, and not used again"
        await asyncio.sleep(0.01)


async def until_down(client: RedisClient) -> None:
    for _ in range(200):
        if client.state == "down":
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the breaker does not open")


async def longest_wait(client: RedisClient, seconds: float, *, every: float = 0.005) -> tuple[float, float]:
    """Call continuously. Return the longest call, and the share of calls that took half the timeout."""
    waits: list[float] = []

    async def one() -> None:
        began = time.perf_counter()
        reply = await client.call([("ECHO", len(waits))])
        assert reply is None or len(reply) == 1
        waits.append(time.perf_counter() - began)

    end, tasks = time.monotonic() + seconds, set()
    while time.monotonic() < end:
        tasks.add(asyncio.create_task(one()))
        await asyncio.sleep(every)
    await asyncio.gather(*tasks)
    return max(waits), sum(wait > TIMEOUT_SECONDS / 2 for wait in waits) / len(waits)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    names = [record.getMessage() for record in caplog.records if record.name == "agent_router.redis"]
    return ["down" if "down" in name else "up" for name in names]


def failures(kind: str) -> float:
    return REGISTRY.get_sample_value("redis_failures_total", {"kind": kind}) or 0


@pytest.fixture(autouse=True)
def _log_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "agent_router.redis")


def test_redis_missing_at_startup_is_used_later(caplog: pytest.LogCaptureFixture) -> None:
    async def job() -> None:
        server = RedisServer()
        try:
            async with opened(server.url) as client:
                await until_down(client)
                assert (await longest_wait(client, 0.3))[0] < SLACK_SECONDS
                await asyncio.to_thread(server.start)
                await until_used(client)
        finally:
            server.kill()

    run(job)
    assert lines(caplog) == ["down", "up"]


def test_killed_and_restarted_empty(caplog: pytest.LogCaptureFixture) -> None:
    async def job() -> None:
        with RedisServer() as server:
            async with opened(server.url) as client:
                sha = client.register_script("return 7")
                generations = [client.generation]
                before = failures("lost")
                server.kill()
                assert (await longest_wait(client, 0.5))[0] < SLACK_SECONDS
                assert client.state == "down"
                assert failures("lost") == before + 1
                generations.append(client.generation)
                await asyncio.to_thread(server.start)
                await until_used(client)
                generations.append(client.generation)
                assert len(set(generations)) == 3, "loss and return both change it"
                assert await client.call([("EVALSHA", sha, 0)]) == [7]

    run(job)
    assert lines(caplog) == ["up", "down", "up"]


def test_hanging_redis_delays_few_calls_and_none_for_long(caplog: pytest.LogCaptureFixture) -> None:
    async def job() -> None:
        with RedisServer() as server:
            async with opened(server.url) as client:
                generation = client.generation
                server.pause()
                longest, share = await longest_wait(client, 2.0)
                assert longest < TIMEOUT_SECONDS + SLACK_SECONDS
                assert share < 0.1, "only those before the first time-out wait"
                assert client.state == "down"
                assert client.generation != generation
                server.resume()
                await until_used(client)

    run(job)
    assert lines(caplog) == ["up", "down", "up"]


def test_timeout_leaves_time_for_the_work_without_redis(settings: Any) -> None:
    """A request may take 50 ms longer. The shortest wait counts: a busy machine only makes waits longer."""

    async def job() -> None:
        with RedisServer() as server:
            async with opened(server.url, settings.REDIS_TIMEOUT_SECONDS) as client:
                waits: list[float] = []
                while not waits or (min(waits) > 0.045 and len(waits) < 50):
                    await until_used(client)
                    server.pause()
                    began = time.perf_counter()
                    assert await client.call([("ECHO", "lost")]) is None
                    waits.append(time.perf_counter() - began)
                    server.resume()
                assert min(waits) <= 0.045

    run(job)


@pytest.mark.parametrize("delay", [0.12, 0.2, 0.5])
def test_slow_redis_is_not_used_until_it_is_fast(delay: float, caplog: pytest.LogCaptureFixture) -> None:
    async def job() -> None:
        with RedisServer() as server, TCPProxy(server.port) as proxy:
            async with opened(f"redis://127.0.0.1:{proxy.port}/0") as client:
                proxy.delay_seconds = delay
                longest, share = await longest_wait(client, 2.5)
                assert longest < TIMEOUT_SECONDS + SLACK_SECONDS
                assert share < 0.2
                assert client.state == "down"
                proxy.delay_seconds = 0
                await until_used(client)

    run(job)
    assert lines(caplog) == ["up", "down", "up"]


def test_one_late_reply_delays_one_call_and_keeps_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def job() -> None:
        with RedisServer() as server, TCPProxy(server.port) as proxy:
            async with opened(f"redis://127.0.0.1:{proxy.port}/0", 0.2) as client:
                generation = client.generation
                proxy.delay_seconds = 0.5
                assert await client.call([("ECHO", "late")]) is None
                proxy.delay_seconds = 0
                assert await client.call([("ECHO", "while it is owed")]) is None
                await until_used(client, "next", 1)
                assert client.generation == generation + 1
                assert client.state == "up"

    run(job)
    assert lines(caplog) == ["up"]


def test_late_replies_never_reach_another_call() -> None:
    """With any delay, a call receives its own reply or None."""

    async def job() -> None:
        with RedisServer() as server, TCPProxy(server.port) as proxy:
            async with opened(f"redis://127.0.0.1:{proxy.port}/0") as client:
                outcomes: list[bool] = []

                async def one(n: int) -> None:
                    reply = await client.call([("ECHO", n), ("ECHO", -n)])
                    assert reply in (None, [b"%d" % n, b"%d" % -n])
                    outcomes.append(reply is not None)

                tasks = []
                for n in range(1200):
                    proxy.delay_seconds = 0.07 if 200 <= n % 400 < 230 else 0
                    tasks.append(asyncio.create_task(one(n)))
                    await asyncio.sleep(0.002)
                await asyncio.gather(*tasks)
                assert {True, False} == set(outcomes)

    run(job)


def test_flapping_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    async def job() -> None:
        with RedisServer() as server, TCPProxy(server.port) as proxy:
            async with opened(f"redis://127.0.0.1:{proxy.port}/0") as client:
                for _ in range(30):
                    proxy.cut()
                    longest, _ = await longest_wait(client, 0.1)
                    assert longest < TIMEOUT_SECONDS + SLACK_SECONDS
                await until_used(client)

    run(job)
    logged = lines(caplog)
    assert all(one != other for one, other in pairwise(logged)), "each line is a change"
    assert len(logged) < 20, "the client pauses after a short connection"


def test_network_that_drops_packets_is_detected() -> None:
    async def job() -> None:
        with RedisServer() as server, TCPProxy(server.port) as proxy:
            async with opened(f"redis://127.0.0.1:{proxy.port}/0") as client:
                proxy.swallows = True
                longest, _ = await longest_wait(client, 1.5)
                assert longest < TIMEOUT_SECONDS + SLACK_SECONDS
                assert client.state == "down"
                proxy.swallows = False
                await until_used(client)

    run(job)


def test_out_of_memory_opens_the_breaker_until_memory_is_free(caplog: pytest.LogCaptureFixture) -> None:
    async def job() -> None:
        with RedisServer("--maxmemory-policy", "noeviction") as server:
            async with opened(server.url) as client:
                before = failures("refused")
                with server.client() as other:
                    # Redis creates the value: sending it would leave Redis with large buffers for seconds.
                    other.setrange("large", 8_000_000, b"x")
                    other.config_set("maxmemory", "4mb")
                    assert await client.call([("SET", "k", 1)]) is None
                    assert failures("refused") == before + 1
                    await asyncio.sleep(0.8)
                    assert client.state == "down", "PING would have passed"
                    assert await client.call([("PING",)]) is None
                    other.flushall()
                await until_used(client)

    run(job)
    assert lines(caplog) == ["up", "down", "up"]
    assert "OOM" in caplog.text


def test_read_only_replica_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    async def job() -> None:
        with RedisServer() as server:
            async with opened(server.url) as client:
                with server.client() as other:
                    other.replicaof("127.0.0.1", free_port())
                    assert await client.call([("SET", "k", 1)]) is None
                    await asyncio.sleep(0.4)
                    assert client.state == "down"
                    other.replicaof("NO", "ONE")
                await until_used(client)

    run(job)
    assert "READONLY" in caplog.text


class HoldsTheLoop(asyncio.Protocol):
    """Blocks the loop longer than the timeout whenever data arrives."""

    def data_received(self, data: bytes) -> None:
        time.sleep(5 * TIMEOUT_SECONDS)


def test_busy_loop_is_not_taken_for_a_slow_redis() -> None:
    """The loop is blocked while the reply arrives and the timeout passes: the client must see the reply first."""

    async def job() -> None:
        ours, theirs = socket.socketpair()
        transport, _ = await asyncio.get_running_loop().create_connection(HoldsTheLoop, sock=theirs)
        with RedisServer() as server, ours:
            async with opened(server.url) as client:
                for _ in range(10):
                    call = asyncio.create_task(client.call([("ECHO", "here")]))
                    await asyncio.sleep(0)  # the call is made
                    await asyncio.sleep(0)  # and sent
                    ours.send(b"x")
                    assert await call == [b"here"]
        transport.close()

    run(job)


def test_reconnect_pauses_are_short_enough() -> None:
    assert LONGEST_PAUSE_SECONDS + CONNECT_SECONDS + TIMEOUT_SECONDS < BACK_WITHIN_SECONDS


def test_metrics_report_the_state() -> None:
    async def job() -> None:
        with RedisServer() as server:
            async with opened(server.url) as client:
                sent = REGISTRY.get_sample_value("redis_commands_total") or 0
                await asyncio.gather(*(client.call([("PING",)]) for _ in range(3)))
                assert REGISTRY.get_sample_value("redis_commands_total") == sent + 3
                names = ("redis_up", "redis_breaker_state", "redis_connections")
                assert [REGISTRY.get_sample_value(name) for name in names] == [1, 0, 1]
                server.kill()
                await until_down(client)
                assert [REGISTRY.get_sample_value(name) for name in names] == [0, 1, 0]

    run(job)
