"""All clients together observe each item as if there were a single copy of it, with two workers, a cache and faults.

Two events weaken this for about 25 ms: the loss of Redis, and a change made outside the API. A read may then return
the version before an unfinished change although another read has returned the new one. No read ever returns less than
was acknowledged.
"""

import random
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Self

import pytest

from tests.faults.history import Change, History
from tests.faults.history_client import HistoryClient
from tests.faults.stack import Stack

CLIENTS, ITEMS = 8, 3


class Recording:
    """Runs clients inside a `with` block. `check` then judges what they observed."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.histories: dict[str, History] = {}
        self._is_over = threading.Event()
        self._clients: list[HistoryClient] = []

    def __enter__(self) -> Self:
        with closing(self.stack.service.user()) as me:
            for number in range(ITEMS):
                item = me.post("/v1/items/", json={"name": f"first {number}"}).json()
                self.histories[item["id"]] = History(item["name"])
            authorization = str(me.headers["Authorization"])
        port = self.stack.service.port
        self._clients = [
            HistoryClient(port, authorization, number, self.histories, self._is_over) for number in range(CLIENTS)
        ]
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for client in self._clients:
            client.join()

    def change_by_orm(self) -> None:
        """Change an item through the ORM in another process, as an operator's shell does."""
        item_id, history = random.choice(list(self.histories.items()))
        began, name = time.monotonic(), f"by ORM {time.monotonic()}"
        version = self.stack.change_by_orm(item_id, name)
        history.changes.append(Change(began, time.monotonic(), version, name))

    def violations(self, *, allow_regular: bool = False) -> list[str]:
        """Return the violations in the histories of all items and the unexpected responses of all clients."""
        found = [unexpected for client in self._clients for unexpected in client.unexpected]
        for history in self.histories.values():
            found += history.violations(allow_regular=allow_regular)
        return found

    def check(self, *, allow_regular: bool = False) -> None:
        """Assert that enough happened and that it was consistent."""
        assert sum(client.reads for client in self._clients) > 100
        assert all(len(history.changes) > 5 for history in self.histories.values())
        assert self.violations(allow_regular=allow_regular) == []


def cache_hits(stack: Stack) -> float:
    with stack.service.client() as client:
        lines = client.get("/metrics").text.splitlines()
    return sum(
        float(line.split()[1]) for line in lines if line.startswith('django_cache_get_hits_total{backend="item"')
    )


def linearizable_faults(stack: Stack) -> list[Callable[[], None]]:
    """Return the faults that keep histories linearizable."""
    return [stack.flush_redis, stack.kill_worker] + ([stack.kill_database] if stack.postgres is not None else [])


def regular_faults(stack: Stack, recording: Recording) -> list[Callable[[], None]]:
    """Return the faults that keep histories regular."""
    return [stack.hang_redis, stack.kill_redis, recording.change_by_orm]


@pytest.mark.slow
def test_histories_are_linearizable(stack: Stack) -> None:
    with Recording(stack) as recording:
        time.sleep(1)
        for fault in linearizable_faults(stack):
            fault()
            time.sleep(0.5)
    assert cache_hits(stack) > 0
    recording.check()


@pytest.mark.slow
def test_no_read_is_older_than_an_acknowledged_change(stack: Stack) -> None:
    with Recording(stack) as recording:
        for fault in regular_faults(stack, recording):
            fault()
            time.sleep(0.5)
    recording.check(allow_regular=True)


@pytest.mark.slow
@pytest.mark.parametrize("start_stack", ["sqlite"], indirect=True)
def test_stale_cache_is_detected(stack: Stack) -> None:
    """Show that the check finds a cache that misses changes, by restoring entries that are up to a second old."""
    with Recording(stack) as recording, stack.redis.client() as redis:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not recording.violations():
            # Take new entries each time: a worker that lost Redis ignores all entries from before.
            first: dict[str, bytes] = {}
            ends = time.monotonic() + 1
            while time.monotonic() < ends:
                for item_id in recording.histories:
                    entry = redis.get(f"item:{item_id}")
                    # An entry without a body marks a change in progress.
                    if item_id not in first and isinstance(entry, bytes) and not entry.endswith(b":"):
                        first[item_id] = entry
                    if item_id in first:
                        redis.set(f"item:{item_id}", first[item_id], px=60_000)
    assert "began after" in " ".join(recording.violations())


@pytest.mark.fault
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("is_redis_lost", [False, True])
def test_long_histories_are_consistent(stack: Stack, is_redis_lost: bool) -> None:
    chance = random.Random(1)
    with Recording(stack) as recording:
        faults = linearizable_faults(stack) + (regular_faults(stack, recording) if is_redis_lost else [])
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            # Mostly flush Redis, because the other faults interrupt the clients.
            (chance.choice(faults) if chance.random() < 0.2 else stack.flush_redis)()
            time.sleep(chance.random() / 4)
    recording.check(allow_regular=is_redis_lost)
