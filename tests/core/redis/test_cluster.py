"""Redis Cluster: commands reach the node of their key; nodes die and slots migrate."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
import redis
import uvloop
from redis.crc import key_slot

from core.ratelimit.buckets import LimitPlan, make_buckets
from core.ratelimit.policies import SCRIPT_SHA
from core.ratelimit.rates import Rate
from core.redis.client import RedisClient
from core.redis.client import redis as client_of_process
from core.redis.pipeline import Pipeline
from tests.redis_cluster import RedisCluster
from tests.redis_sentinels import until

pytestmark = pytest.mark.slow

TIMEOUT_SECONDS = 0.05
SLACK_SECONDS = 0.1
BACK_WITHIN_SECONDS = 2.0
INCREASE = "return redis.call('INCRBY', KEYS[1], ARGV[1])"


@pytest.fixture
def cluster() -> Iterator[RedisCluster]:
    with RedisCluster("--cluster-require-full-coverage", "no") as started:
        yield started


def run(job: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await job()

    asyncio.run(main(), loop_factory=uvloop.new_event_loop)


@asynccontextmanager
async def opened(cluster: RedisCluster, timeout_seconds: float = TIMEOUT_SECONDS) -> AsyncIterator[RedisClient]:
    client = RedisClient()
    client.register_script(INCREASE)
    await client.open(cluster.url, timeout_seconds)
    try:
        assert client.state == "up"
        yield client
    finally:
        await client.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def until_up(client: RedisClient, within: float = BACK_WITHIN_SECONDS) -> None:
    deadline = time.monotonic() + within
    while not (client.state == "up" and await client.ping()):
        assert time.monotonic() < deadline, "all nodes are back, and not used again"
        await asyncio.sleep(0.01)


async def gone_down(client: RedisClient) -> None:
    async with asyncio.timeout(5):
        while client.state == "up":
            await client.ping()
            await asyncio.sleep(0.01)


def test_commands_reach_their_nodes_and_replies_keep_their_order(
    cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def job() -> None:
        async with opened(cluster, 5) as client:
            keys = [f"key-{n}" for n in range(200)]
            assert await client.call([("SET", key, key) for key in keys]) == [b"OK"] * 200
            assert await client.call([("GET", key) for key in keys]) == [key.encode() for key in keys]
            assert await client.ping()
            sha = client.register_script(INCREASE)
            mixed = [("ECHO", "x"), ("EVALSHA", sha, 1, "n", 5), ("GET", "key-7"), ("EVALSHA", sha, 1, "m", 6)]
            assert await client.call(mixed) == [b"x", 5, b"key-7", 6]
            for node in cluster.nodes:
                with node.client() as other:
                    assert other.dbsize() > 30
                    other.script_flush()
            assert await client.call(mixed) == [b"x", 10, b"key-7", 12]
            flushes: list[Pipeline] = []
            original = Pipeline._flush

            def flush(pipeline: Pipeline) -> None:
                flushes.append(pipeline)
                original(pipeline)

            monkeypatch.setattr(Pipeline, "_flush", flush)
            replies = await asyncio.gather(*(client.call([("GET", key), ("ECHO", key)]) for key in keys))
            assert replies == [[key.encode()] * 2 for key in keys]
            assert len(flushes) == 3, "one write for each node"

    run(job)


def test_error_of_one_node_fails_only_its_own_call(cluster: RedisCluster) -> None:
    async def job() -> None:
        async with opened(cluster, 5) as client:
            one, other, _ = (cluster.key_of(node) for node in cluster.nodes)
            assert await client.call([("SET", one, "word"), ("SET", other, 1)]) == [b"OK", b"OK"]
            bad, good, cancelled = (
                asyncio.ensure_future(client.call([("INCR", one), ("GET", other)])),
                asyncio.ensure_future(client.call([("GET", one), ("INCR", other)])),
                asyncio.ensure_future(client.call([("GET", one), ("GET", other)])),
            )
            await asyncio.sleep(0)
            cancelled.cancel()
            assert (await bad, await good) == (None, [b"word", 2])
            assert client.state == "up"

    run(job)


def test_limits_are_exact_across_processes(cluster: RedisCluster) -> None:
    async def job() -> None:
        plan = LimitPlan(make_buckets("default", [Rate(50, 3600)]), script_sha=SCRIPT_SHA)
        clients = [RedisClient(), RedisClient()]
        for client in clients:
            client._error_replies._scripts.update(client_of_process._error_replies._scripts)
            await client.open(cluster.url, 5)
        calls = (client.call([plan.pack(tag)]) for client in clients for tag in (b"a", b"b", b"c") for _ in range(50))
        replies = await asyncio.gather(*calls)
        assert sum(reply is not None and reply[0].startswith(b'"') for reply in replies) == 150
        for client in clients:
            await client.close()

    run(job)


def test_killed_node_affects_only_its_own_keys(cluster: RedisCluster, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "agent_router.redis")

    async def job() -> None:
        async with opened(cluster, 0.3) as client:
            first, second, dead = (cluster.key_of(node) for node in cluster.nodes)
            generation, run_id = client.generation, client.run_id
            cluster.nodes[2].kill()
            await gone_down(client)
            assert not await client.ping()
            end = time.monotonic() + 2.5  # by then the other nodes have noticed
            while time.monotonic() < end:
                assert await client.call([("SET", first, 1), ("SET", second, 1)]) == [b"OK", b"OK"]
                assert await client.call([("SET", dead, 1)]) is None
                assert await client.call([("SET", first, 1), ("SET", dead, 1)]) is None
                await asyncio.sleep(0.02)
            await asyncio.to_thread(cluster.nodes[2].start)
            await asyncio.to_thread(until, lambda: cluster.is_well(cluster.nodes[2]))
            await until_up(client)
            assert await client.call([("GET", first), ("GET", dead)]) == [b"1", None]
            assert client.generation > generation
            assert client.run_id not in ("", run_id)

    run(job)
    assert ["down" in one.getMessage() for one in caplog.records if one.levelno < logging.ERROR] == [False, True, False]
    assert f"127.0.0.1:{cluster.nodes[2].port}: " in caplog.text


def test_hanging_node_delays_few_calls_and_none_for_long(cluster: RedisCluster) -> None:
    async def job() -> None:
        async with opened(cluster) as client:
            first, _, hanging = (cluster.key_of(node) for node in cluster.nodes)
            cluster.nodes[2].pause()
            waits, others = [], 0
            for _ in range(100):
                began = time.monotonic()
                assert await client.call([("SET", first, 1), ("SET", hanging, 1)]) is None
                waits.append(time.monotonic() - began)
                others += await client.call([("SET", first, 1)]) == [b"OK"]
                await asyncio.sleep(0.005)
            assert max(waits) < TIMEOUT_SECONDS + SLACK_SECONDS
            assert sum(wait > TIMEOUT_SECONDS / 2 for wait in waits) < 10
            assert others > 90
            assert client.state == "down"
            cluster.nodes[2].resume()
            await asyncio.to_thread(until, lambda: all(map(cluster.is_well, cluster.nodes)))
            await until_up(client)

    run(job)


def test_cluster_is_down_until_all_slots_are_covered() -> None:
    async def job(cluster: RedisCluster) -> None:
        async with opened(cluster) as client:
            first = cluster.key_of(cluster.nodes[0])
            cluster.nodes[2].kill()
            deadline = time.monotonic() + 10
            while await client.call([("SET", first, 1)]) is not None:
                assert time.monotonic() < deadline, "CLUSTERDOWN comes after the node's time-out"
                await asyncio.sleep(0.02)
            await asyncio.to_thread(cluster.nodes[2].start)
            await asyncio.to_thread(until, lambda: all(map(cluster.is_well, cluster.nodes)))
            await until_up(client)

    with RedisCluster() as cluster:
        run(lambda: job(cluster))


def test_migrating_slot_loses_no_call(cluster: RedisCluster) -> None:
    async def job() -> None:
        async with opened(cluster, 5) as client:
            source, target, _ = cluster.nodes
            key = cluster.key_of(source, "{moved}")
            slot, stays = key_slot(key.encode()), cluster.key_of(target)
            sha = client.register_script(INCREASE)
            counted = 0

            async def count(times: int) -> None:
                nonlocal counted
                for _ in range(times):
                    counted += 1
                    commands = [("EVALSHA", sha, 1, key, 1), ("SET", stays, 1), ("GET", f"{key}-missing")]
                    assert await client.call(commands) == [counted, b"OK", None]

            await count(10)
            await asyncio.to_thread(cluster.begin_move, slot, source, target)
            await count(10)
            await asyncio.to_thread(cluster.move_keys, slot, source, target)
            await count(10)
            await asyncio.to_thread(cluster.end_move, slot, target)
            sent = client_writes(client, source.port)
            await count(1)
            assert client_writes(client, source.port) > sent, "MOVED"
            sent = client_writes(client, source.port)
            await count(10)
            assert client_writes(client, source.port) == sent, "the new node is known"
            assert client.state == "up"

    def client_writes(client: RedisClient, port: int) -> int:
        with redis.Redis(port=port) as other:
            return int(other.info("commandstats").get("cmdstat_evalsha", {}).get("rejected_calls", 0))

    run(job)


def test_node_loses_all_its_slots_under_load(cluster: RedisCluster) -> None:
    async def job() -> None:
        async with opened(cluster, 5) as client:
            *_, last = cluster.nodes
            sha, run_id = client.register_script(INCREASE), client.run_id
            keys = [f"key-{n}" for n in range(100)]
            moving = asyncio.create_task(asyncio.to_thread(cluster.give_away, last, cluster.nodes[0]))
            rounds = 0
            while not moving.done():
                rounds += 1
                replies = await asyncio.gather(*(client.call([("EVALSHA", sha, 1, key, 1)]) for key in keys))
                assert replies == [[rounds]] * len(keys)
            await moving
            deadline = time.monotonic() + BACK_WITHIN_SECONDS
            while client.run_id == run_id:
                assert time.monotonic() < deadline, "it is still counted among the nodes"
                await asyncio.sleep(0.01)
            last.kill()
            assert await client.call([("GET", key) for key in keys]) == [b"%d" % rounds] * len(keys)
            assert client.state == "up"

    run(job)
