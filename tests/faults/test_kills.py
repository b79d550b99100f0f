"""Whatever is killed whenever: what was acknowledged is there, each key has one item, no version is skipped."""

import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing

import pytest

from tests.faults.stack import Stack, await_true
from tests.faults.stubborn_client import StubbornClient

CLIENTS = 6


def start_clients(stack: Stack) -> list[StubbornClient]:
    with closing(stack.service.user()) as me:
        authorization = str(me.headers["Authorization"])
    clients = [StubbornClient(stack.service.port, authorization, number) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    return clients


def check_everything_is_there(stack: Stack, clients: list[StubbornClient]) -> None:
    """Against the rows of the database."""
    assert [wrong for client in clients for wrong in client.wrong] == []
    rows = stack.service.query("SELECT id, name, version FROM item")
    found = {name.partition("@")[0]: (str(item_id).replace("-", ""), version) for item_id, name, version in rows}
    assert set(Counter(name.partition("@")[0] for _, name, _ in rows).values()) == {1}, "one item for each key"
    assert all(name.partition("@")[2] == str(version) for _, name, version in rows), "no change was made twice"
    for client in clients:
        for key, kept in client.kept.items():
            assert found[key][0] == kept.id.replace("-", "")
            assert found[key][1] >= kept.version
    if stack.postgres is None:
        assert stack.service.query("PRAGMA integrity_check") == [("ok",)]


def await_progress(clients: list[StubbornClient], count: int) -> None:
    """Waits until clients have been told of so many more changes."""
    reached = sum(client.acknowledged for client in clients) + count
    await_true(lambda: sum(client.acknowledged for client in clients) >= reached, "the service does not recover")


def kill(stack: Stack, ways: list[Callable[[], None]], chance: random.Random) -> list[StubbornClient]:
    """Kills something, waits until clients are told of changes again, and so on."""
    clients = start_clients(stack)
    for way in ways:
        await_progress(clients, chance.randint(1, 40))
        time.sleep(chance.random() / 20)
        way()
    await_progress(clients, 1)
    for client in clients:
        client.finish()
    return clients


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_by_kills(stack: Stack) -> None:
    ways = [stack.kill_worker, stack.kill_service, stack.kill_redis if stack.postgres is None else stack.kill_database]
    clients = kill(stack, ways, random.Random(1))
    assert sum(client.repeats for client in clients) > 0, "no request was hit"
    check_everything_is_there(stack, clients)


@pytest.mark.fault
@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_lost_or_doubled_by_hundreds_of_kills(stack: Stack, seed: int) -> None:
    chance = random.Random(seed)
    ways = [stack.kill_worker] * 12 + [stack.kill_service, stack.kill_service, stack.kill_redis, stack.flush_redis]
    if stack.postgres is not None:
        ways += [stack.kill_database, stack.kill_database]
    ways = [way for _ in range(105 // len(ways) + 1) for way in chance.sample(ways, len(ways))]
    clients = kill(stack, ways, chance)
    assert sum(client.repeats for client in clients) > 20
    check_everything_is_there(stack, clients)
