"""Redis Sentinel: the client finds the master, also after a failover, in time."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress

import pytest
import redis
import uvloop

from core.redis.client import RedisClient
from tests.redis_sentinels import DOWN_AFTER_MILLISECONDS, RedisSentinels
from tests.redis_server import RedisServer

pytestmark = pytest.mark.slow

PASSWORD = "p@ss:w/rd?#%25é,+'\" x"
TIMEOUT_SECONDS = 0.05
BACK_WITHIN_SECONDS = 2.0
FAIL_OVER_SECONDS = 20.0


@pytest.fixture
def sentinels() -> Iterator[RedisSentinels]:
    with RedisSentinels(PASSWORD) as started:
        yield started


def run(job: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await job()

    asyncio.run(main(), loop_factory=uvloop.new_event_loop)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[RedisClient]:
    client = RedisClient()
    await client.open(url, TIMEOUT_SECONDS)
    try:
        yield client
    finally:
        await client.close()


def until_it_is_master(server: RedisServer, sentinels: RedisSentinels) -> float:
    """Wait until the server accepts writes and a sentinel names it."""
    deadline = time.monotonic() + FAIL_OVER_SECONDS
    while time.monotonic() < deadline:
        with server.client() as client, suppress(redis.RedisError):
            client.set("written", 1)
            if sentinels.name_as_master(server):
                return time.monotonic()
        time.sleep(0.01)
    raise AssertionError("nothing takes over")


async def until_used(client: RedisClient, key: str) -> float:
    deadline = time.monotonic() + FAIL_OVER_SECONDS
    while await client.call([("SET", key, 1)]) != [b"OK"]:
        assert time.monotonic() < deadline, "the new master is not used"
        await asyncio.sleep(0.01)
    return time.monotonic()


async def fail_over_and_back(client: RedisClient, sentinels: RedisSentinels, fail_over: Callable[[], None]) -> None:
    replica = sentinels.servers[1]
    run_id, generation = client.run_id, client.generation
    assert len(run_id) == 40
    writing = asyncio.create_task(asyncio.to_thread(until_it_is_master, replica, sentinels))
    fail_over()
    waits = []
    while not writing.done():
        began = time.monotonic()
        await client.call([("SET", "lost", 1)])
        waits.append(time.monotonic() - began)
        await asyncio.sleep(0.01)
    used = await until_used(client, "after")
    while client.run_id == run_id:  # the old master still accepts writes for a while
        used = await until_used(client, "after")
    assert used - await writing < BACK_WITHIN_SECONDS
    assert max(waits) < TIMEOUT_SECONDS + 0.1, "no call waits for a failover"
    assert client.generation > generation
    assert client.run_id != run_id
    with replica.client() as other:
        assert other.get("after") == b"1"


def test_master_is_found_with_passwords_of_special_characters(sentinels: RedisSentinels) -> None:
    async def job() -> None:
        async with opened(sentinels.url) as client:
            assert client.state == "up"
            assert await client.call([("SET", "here", 1)]) == [b"OK"]
        with sentinels.servers[0].client() as other:
            assert other.get("here") == b"1"

    run(job)


def test_killed_master(sentinels: RedisSentinels) -> None:
    async def job() -> None:
        async with opened(sentinels.url) as client:
            await fail_over_and_back(client, sentinels, sentinels.servers[0].kill)

    run(job)


def test_hanging_master_that_comes_back_as_a_replica(sentinels: RedisSentinels) -> None:
    async def job() -> None:
        async with opened(sentinels.url) as client:
            await fail_over_and_back(client, sentinels, sentinels.servers[0].pause)
            sentinels.servers[0].resume()
            end = time.monotonic() + 5 * DOWN_AFTER_MILLISECONDS / 1000
            while time.monotonic() < end:
                assert await client.call([("SET", "stays", 1)]) == [b"OK"]
                await asyncio.sleep(0.02)

    run(job)


def test_failover_while_one_sentinel_hangs(sentinels: RedisSentinels) -> None:
    async def job() -> None:
        async with opened(sentinels.url) as client:
            sentinels.processes[-1].send_signal(signal.SIGSTOP)
            await fail_over_and_back(client, sentinels, sentinels.fail_over)

    run(job)


def test_missing_sentinels_and_unknown_service(sentinels: RedisSentinels, caplog: pytest.LogCaptureFixture) -> None:
    async def job() -> None:
        async with opened(sentinels.url.replace("/Main-1/", "/other/")) as client:
            assert client.state == "down"
            assert await client.call([("PING",)]) is None
        for process in sentinels.processes:
            process.kill()
        async with opened(sentinels.url) as client:
            assert client.state == "down"

    run(job)
    assert "by the name of other" in caplog.text
    assert "p@ss" not in caplog.text
