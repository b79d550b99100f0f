"""One key creates one item: with 64 concurrent clients on two workers, Redis flushes and killed workers."""

import json
import threading
from contextlib import closing
from http.client import HTTPConnection
from typing import NamedTuple

import psycopg
import pytest

from tests.faults.retrying_client import RetryingClient
from tests.faults.stack import Stack, run_concurrently
from tests.waiting import await_true

CLIENTS = 64
BODY = json.dumps({"name": "an item"})


class Response(NamedTuple):
    status: int
    body: bytes
    is_replay: bool


def post(stack: Stack, authorization: str, key: str) -> Response:
    """Send the request over its own connection, so that any worker may accept it."""
    with closing(HTTPConnection("127.0.0.1", stack.service.port, timeout=60)) as connection:
        headers = {"Authorization": authorization, "Content-Type": "application/json", "Idempotency-Key": key}
        connection.request("POST", "/v1/items/", BODY, headers)
        response = connection.getresponse()
        return Response(response.status, response.read(), response.headers["Idempotent-Replayed"] == "true")


@pytest.fixture
def authorization(stack: Stack) -> str:
    with closing(stack.service.user()) as me:
        return str(me.headers["Authorization"])


@pytest.mark.slow
def test_64_clients_with_one_key_create_one_item(stack: Stack, authorization: str) -> None:
    responses: list[Response] = []
    is_over = threading.Event()

    def flush() -> None:
        while not is_over.is_set():
            stack.flush_redis()

    flusher = threading.Thread(target=flush)
    flusher.start()
    run_concurrently([lambda: responses.append(post(stack, authorization, "once"))] * CLIENTS)
    is_over.set()
    flusher.join()
    assert [response.status for response in responses] == [201] * CLIENTS
    assert len({response.body for response in responses}) == 1
    assert sum(not response.is_replay for response in responses) == 1
    assert stack.service.query("SELECT COUNT(*) FROM item") == [(1,)]


# Delays the commit after the claim of a key, so that the test can kill the service in between.
SLOW_CLAIM = """
    CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN NEW; END';
    CREATE TRIGGER dawdle AFTER INSERT ON idempotency_record FOR EACH ROW EXECUTE FUNCTION dawdle();
"""


@pytest.mark.slow
@pytest.mark.parametrize("start_stack", ["postgres"], indirect=True)
@pytest.mark.parametrize("is_database_killed", [False, True])
def test_kill_between_claim_and_commit(stack: Stack, authorization: str, is_database_killed: bool) -> None:
    """This test needs PostgreSQL. test_commit.py covers SQLite."""
    service = stack.service
    with psycopg.connect(service.environment["DB_DSN"], autocommit=True) as connection:
        connection.execute(SLOW_CLAIM)

        def is_claimed() -> bool:
            found = connection.execute("SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
            return found.fetchone() is not None

        client = RetryingClient(service.port, authorization, 0, changes=0)
        client.start()
        await_true(is_claimed, "no key is claimed")
    if is_database_killed:
        stack.kill_database()
    else:
        stack.kill_service()
    await_true(lambda: client.acknowledged_changes > 0, "the service does not recover")
    client.finish()
    assert client.unexpected == []
    assert is_database_killed or client.retries > 0, "the kill interrupted no request"
    names = [name for [name] in service.query("SELECT name FROM item")]
    assert sorted(names) == sorted(f"{key}@1" for key in client.acknowledged_items)
