"""The Redis client with a real server: batches, addresses, error replies, close."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from pytest_django import Settings
from redis.exceptions import DataError

from core.redis.client import RedisClient
from core.redis.pipeline import Pipeline
from tests.redis_server import RedisServer

# Long enough for a busy machine. test_faults.py covers timeouts.
PATIENCE_SECONDS = 5.0


@pytest.fixture(scope="module")
def server() -> Any:
    with RedisServer() as server:
        yield server


@contextlib.asynccontextmanager
async def opened(url: str, *scripts: str) -> AsyncIterator[RedisClient]:
    client = RedisClient()
    for script in scripts:
        client.register_script(script)
    await client.open(url, PATIENCE_SECONDS)
    try:
        yield client
    finally:
        await client.close()


def run(url: str, job: Callable[[RedisClient], Awaitable[None]], *scripts: str) -> None:
    async def main() -> None:
        async with opened(url, *scripts) as client:
            await job(client)

    asyncio.run(main())


def test_replies_come_in_the_order_of_the_commands(server: RedisServer) -> None:
    async def job(client: RedisClient) -> None:
        commands = [("SET", "a", b"\x00\xff"), ("GET", "a"), ("INCR", "n"), ("GET", "missing"), ("ECHO", 7)]
        assert await client.call(commands) == [b"OK", b"\x00\xff", 1, None, b"7"]
        assert await client.ping()
        assert client.state == "up"
        assert client.configured

    run(server.url, job)


def test_packed_commands_are_sent_as_they_are(server: RedisServer) -> None:
    async def job(client: RedisClient) -> None:
        packed = b"*2\r\n$4\r\nECHO\r\n$5\r\nhello\r\n"
        assert await client.call([packed, ("ECHO", "world")]) == [b"hello", b"world"]

    run(server.url, job)


def test_calls_of_one_loop_iteration_share_one_write(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async def job(client: RedisClient) -> None:
        writes: list[bytes] = []
        pipeline = client._pipeline
        assert isinstance(pipeline, Pipeline)
        original = pipeline._transport

        class Transport:
            is_closing, abort = original.is_closing, original.abort

            @staticmethod
            def write(data: bytes) -> None:
                writes.append(data)
                original.write(data)

        monkeypatch.setattr(pipeline, "_transport", Transport)
        replies = await asyncio.gather(*(client.call([("ECHO", n), ("ECHO", -n)]) for n in range(100)))
        assert replies == [[b"%d" % n, b"%d" % -n] for n in range(100)]
        assert len(writes) == 1

    run(server.url, job)


def test_large_values_arrive_complete(server: RedisServer) -> None:
    async def job(client: RedisClient) -> None:
        value = bytes(range(256)) * 20_000
        assert await client.call([("SET", "large", value)]) == [b"OK"]
        replies = await asyncio.gather(*(client.call([("GET", "large"), ("ECHO", n)]) for n in range(8)))
        assert replies == [[value, b"%d" % n] for n in range(8)]

    run(server.url, job)


def test_cancelled_caller_does_not_take_anothers_reply(server: RedisServer) -> None:
    async def job(client: RedisClient) -> None:
        tasks = [asyncio.ensure_future(client.call([("ECHO", n)])) for n in range(50)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        replies = await asyncio.gather(*tasks, return_exceptions=True)
        assert replies[1::2] == [[b"%d" % n] for n in range(1, 50, 2)]
        assert all(isinstance(reply, asyncio.CancelledError) for reply in replies[::2])
        assert await client.call([("ECHO", "after")]) == [b"after"]

    run(server.url, job)


def test_error_fails_only_its_own_call(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    async def job(client: RedisClient) -> None:
        await client.call([("SET", "word", "x")])
        for _ in range(2):
            bad, good = await asyncio.gather(
                client.call([("GET", "word"), ("INCR", "word")]), client.call([("GET", "word")])
            )
            assert bad is None
            assert good == [b"x"]
        assert client.state == "up"

    with caplog.at_level(logging.INFO, "agent_router.redis"):
        run(server.url, job)
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1, "logged once"


def test_script_missing_in_redis_is_loaded_and_retried(server: RedisServer) -> None:
    script = "return redis.call('INCRBY', KEYS[1], ARGV[1])"

    async def job(client: RedisClient) -> None:
        sha = client.register_script(script)
        await client.call([("DEL", "counted", "plain")])
        assert await client.call([("SCRIPT", "FLUSH")])
        replies = await client.call([("INCR", "plain"), ("EVALSHA", sha, 1, "counted", 5), ("INCR", "plain")])
        assert replies == [1, 5, 2], "only the script's command is sent again"
        assert await client.call([("EVALSHA", sha, 1, "counted", 5)]) == [10]

    run(server.url, job, script)


def test_unregistered_script_raises_nothing(server: RedisServer) -> None:
    async def job(client: RedisClient) -> None:
        assert await client.call([("EVALSHA", "0" * 40, 0)]) is None
        assert await client.ping()

    run(server.url, job)


def test_invalid_arguments_fail_only_their_own_call(server: RedisServer) -> None:
    async def job(client: RedisClient) -> None:
        good = asyncio.ensure_future(client.call([("ECHO", 1)]))
        with pytest.raises((TypeError, DataError)):
            await client.call([("SET", "x", object())])  # type: ignore[list-item]
        assert await good == [b"1"]

    run(server.url, job)


def test_password_database_and_unix_socket() -> None:
    async def job(client: RedisClient) -> None:
        assert await client.call([("SET", "k", 1)]) == [b"OK"]

    with RedisServer(password="s3cret") as server:
        run(f"redis://:s3cret@127.0.0.1:{server.port}/2", job)
        run(f"unix://:s3cret@{server.socket}?db=3", job)
        with server.client() as client:
            assert set(client.info("keyspace")) == {"db2", "db3"}


def test_wrong_password_is_down_and_logged(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    async def job(client: RedisClient) -> None:
        assert client.state == "down"
        assert await client.call([("PING",)]) is None

    with RedisServer(password="s3cret") as guarded, caplog.at_level(logging.INFO, "agent_router.redis"):
        run(f"redis://:wrong-one@127.0.0.1:{guarded.port}/0", job)
    assert "password" in caplog.text
    assert "wrong-one" not in caplog.text


def test_without_url_or_before_open_every_call_is_none() -> None:
    async def main() -> None:
        client = RedisClient()
        assert await client.call([("PING",)]) is None
        await client.close()
        await client.open("", PATIENCE_SECONDS)
        assert (client.state, client.configured) == ("disabled", False)
        assert await client.call([("PING",)]) is None
        assert not await client.ping()
        await client.close()

    asyncio.run(main())


def test_call_from_another_loop_is_none(server: RedisServer) -> None:
    async def job(client: RedisClient) -> None:
        assert await asyncio.to_thread(lambda: asyncio.run(client.call([("PING",)]))) is None

    run(server.url, job)


def test_client_can_be_closed_and_reopened(server: RedisServer) -> None:
    async def main() -> None:
        client = RedisClient()
        for _ in range(3):
            await client.open(server.url, PATIENCE_SECONDS)
            waiting = asyncio.ensure_future(client.call([("BLPOP", "nothing", 0)]))
            await asyncio.sleep(0)
            async with asyncio.timeout(1):
                await client.close()
                assert await waiting is None
            assert await client.call([("PING",)]) is None
            assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_unexpected_reply_ends_the_connection(server: RedisServer) -> None:
    async def job(client: RedisClient) -> None:
        before = client.generation
        pipeline = client._pipeline
        assert isinstance(pipeline, Pipeline)
        pipeline.data_received(b"+OK\r\n")
        assert client.generation == before + 1
        assert await client.call([("PING",)]) is None
        garbled = asyncio.ensure_future(pipeline.ended)
        assert "unexpected" in await garbled

    run(server.url, job)


def test_other_protocol_ends_the_connection(server: RedisServer) -> None:
    async def job(client: RedisClient) -> None:
        pipeline = client._pipeline
        assert isinstance(pipeline, Pipeline)
        waiting = asyncio.ensure_future(client.call([("PING",)]))
        await asyncio.sleep(0)
        pipeline.data_received(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        assert await waiting is None
        assert "protocol" in await pipeline.ended

    run(server.url, job)


def test_url_and_timeout_come_from_the_settings(server: RedisServer, settings: Settings) -> None:
    settings.REDIS_URL, settings.REDIS_TIMEOUT_SECONDS = server.url, PATIENCE_SECONDS

    async def main() -> None:
        client = RedisClient()
        await client.open()
        assert await client.ping()
        await client.close()

    asyncio.run(main())
