"""Whatever is killed whenever: what was acknowledged is there, each key has one item, no version is skipped."""

import random
import time
from collections.abc import Callable

import pytest

from tests.faults.kept import check_everything_is_there, start_stubborn_clients
from tests.faults.stack import Stack
from tests.faults.stubborn_client import StubbornClient
from tests.waiting import await_true

CLIENTS = 6


def await_progress(clients: list[StubbornClient], count: int) -> None:
    """Waits until clients have been told of so many more changes."""
    reached = sum(client.acknowledged for client in clients) + count
    await_true(lambda: sum(client.acknowledged for client in clients) >= reached, "the service does not recover")


def kill(stack: Stack, ways: list[Callable[[], None]], chance: random.Random) -> list[StubbornClient]:
    """Kills something, waits until clients are told of changes again, and so on."""
    clients = start_stubborn_clients(stack, CLIENTS)
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
    ways = [way for _ in range(200 // len(ways) + 1) for way in chance.sample(ways, len(ways))]
    clients = kill(stack, ways, chance)
    assert sum(client.repeats for client in clients) > 20
    check_everything_is_there(stack, clients)
