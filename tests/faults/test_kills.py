"""Kills at any moment lose no acknowledged change, create no second item for a key, and skip no version."""

import random
import time
from collections.abc import Callable

import pytest

from tests.faults.acknowledged import check_acknowledged_changes, start_retrying_clients
from tests.faults.retrying_client import RetryingClient
from tests.faults.stack import Stack
from tests.waiting import await_true

CLIENTS = 6


def await_progress(clients: list[RetryingClient], count: int) -> None:
    """Wait until the service acknowledges this many more changes."""

    def total() -> int:
        return sum(client.acknowledged_changes for client in clients)

    reached = total() + count
    await_true(lambda: total() >= reached, "the service does not recover")


def run_with_kills(stack: Stack, kills: list[Callable[[], None]], chance: random.Random) -> list[RetryingClient]:
    """Run retrying clients while the service, Redis or the database is killed. Wait for progress after each kill."""
    clients = start_retrying_clients(stack, CLIENTS)
    for kill in kills:
        await_progress(clients, chance.randint(1, 40))
        time.sleep(chance.random() / 20)
        kill()
    await_progress(clients, 1)
    for client in clients:
        client.finish()
    return clients


@pytest.mark.slow
def test_kills_lose_and_duplicate_nothing(stack: Stack) -> None:
    kills = [stack.kill_worker, stack.kill_service, stack.kill_redis if stack.postgres is None else stack.kill_database]
    clients = run_with_kills(stack, kills, random.Random(1))
    assert sum(client.retries for client in clients) > 0, "no kill interrupted a request"
    check_acknowledged_changes(stack, clients)


@pytest.mark.fault
@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", [1, 2])
def test_hundreds_of_kills_lose_and_duplicate_nothing(stack: Stack, seed: int) -> None:
    chance = random.Random(seed)
    kills = [stack.kill_worker] * 12 + [stack.kill_service, stack.kill_service, stack.kill_redis, stack.flush_redis]
    if stack.postgres is not None:
        kills += [stack.kill_database, stack.kill_database]
    kills = [kill for _ in range(200 // len(kills) + 1) for kill in chance.sample(kills, len(kills))]
    clients = run_with_kills(stack, kills, chance)
    assert sum(client.retries for client in clients) > 20
    check_acknowledged_changes(stack, clients)
