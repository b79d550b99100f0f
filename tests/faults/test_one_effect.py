"""One key, one item: 64 clients at once over two workers, Redis emptied meanwhile, workers killed in the middle."""

import json
import threading
from contextlib import closing
from http.client import HTTPConnection
from typing import NamedTuple

import psycopg
import pytest

from tests.faults.stack import Stack, at_once
from tests.faults.stubborn_client import StubbornClient
from tests.waiting import await_true

CLIENTS = 64
BODY = json.dumps({"name": "an item"})


class Answer(NamedTuple):
    status: int
    body: bytes
    is_replay: bool


def post(stack: Stack, authorization: str, key: str) -> Answer:
    """Over a connection of its own: any worker may get it."""
    with closing(HTTPConnection("127.0.0.1", stack.service.port, timeout=60)) as connection:
        headers = {"Authorization": authorization, "Content-Type": "application/json", "Idempotency-Key": key}
        connection.request("POST", "/v1/items/", BODY, headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.read(), answer.headers["Idempotent-Replayed"] == "true")


@pytest.fixture
def authorization(stack: Stack) -> str:
    with closing(stack.service.user()) as me:
        return str(me.headers["Authorization"])


@pytest.mark.slow
def test_64_clients_with_one_key_make_one_item(stack: Stack, authorization: str) -> None:
    answers: list[Answer] = []
    is_over = threading.Event()

    def flush() -> None:
        while not is_over.is_set():
            stack.flush_redis()

    flusher = threading.Thread(target=flush)
    flusher.start()
    at_once([lambda: answers.append(post(stack, authorization, "once"))] * CLIENTS)
    is_over.set()
    flusher.join()
    assert [answer.status for answer in answers] == [201] * CLIENTS
    assert len({answer.body for answer in answers}) == 1
    assert sum(not answer.is_replay for answer in answers) == 1
    assert stack.service.query("SELECT COUNT(*) FROM item") == [(1,)]


# What the claim of a key and the commit have between them here: time enough to be killed in.
SLOW_CLAIM = """
    CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN NEW; END';
    CREATE TRIGGER dawdle AFTER INSERT ON idempotency_record FOR EACH ROW EXECUTE FUNCTION dawdle();
"""


@pytest.mark.slow
@pytest.mark.parametrize("start_stack", ["postgres"], indirect=True)
@pytest.mark.parametrize("is_database_killed", [False, True])
def test_kill_between_claim_and_commit(stack: Stack, authorization: str, is_database_killed: bool) -> None:
    """On PostgreSQL; test_commit.py has it for SQLite."""
    service = stack.service
    with psycopg.connect(service.environment["DB_DSN"], autocommit=True) as connection:
        connection.execute(SLOW_CLAIM)

        def is_claimed() -> bool:
            found = connection.execute("SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
            return found.fetchone() is not None

        client = StubbornClient(service.port, authorization, 0, changes=0)
        client.start()
        await_true(is_claimed, "the claim is not reached")
    if is_database_killed:
        stack.kill_database()
    else:
        stack.kill_service()
    await_true(lambda: client.acknowledged > 0, "the client gets no answer")
    client.finish()
    assert client.wrong == []
    assert is_database_killed or client.repeats > 0, "the kill came too late"
    names = [name for [name] in service.query("SELECT name FROM item")]
    assert sorted(names) == sorted(f"{key}@1" for key in client.kept)
