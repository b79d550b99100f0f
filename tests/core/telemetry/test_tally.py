"""Observations of many threads, none lost, none counted twice."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client import CollectorRegistry, Histogram

from core.telemetry.tally import TalliedHistogram


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def tallied(registry: CollectorRegistry) -> TalliedHistogram:
    return TalliedHistogram(Histogram("seconds", "…", buckets=(1, 10), registry=registry))


def values(registry: CollectorRegistry) -> dict[str, float]:
    found = [one for family in registry.collect() for one in family.samples]
    return {one.name + one.labels.get("le", ""): one.value for one in found if not one.name.endswith("_created")}


def test_histogram_is_what_it_would_be_without_a_tally(registry: CollectorRegistry, tallied: TalliedHistogram) -> None:
    other = CollectorRegistry()
    direct = Histogram("seconds", "…", buckets=(1, 10), registry=other)
    for amount in (0, 0.5, 1, 1.5, 10, 11, 1000):
        tallied.observe(amount)
        direct.observe(amount)
    assert tallied.flush() == 7
    assert values(registry) == values(other)
    assert tallied.flush() == 0
    assert values(registry) == values(other)


def test_nothing_is_lost_while_threads_observe_and_come_and_go(
    registry: CollectorRegistry, tallied: TalliedHistogram
) -> None:
    is_over = threading.Event()

    def flush_again_and_again() -> int:
        count = 0
        while not is_over.is_set():
            count += tallied.flush()
        return count

    def observe() -> None:
        for _ in range(500):
            tallied.observe(0.5)

    with ThreadPoolExecutor(2) as flushing:
        flushed = [flushing.submit(flush_again_and_again) for _ in range(2)]
        for _ in range(5):
            threads = [threading.Thread(target=observe) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        is_over.set()
    count = sum(one.result() for one in flushed) + tallied.flush()
    assert count == 5 * 8 * 500
    found = values(registry)
    assert (found["seconds_count"], found["seconds_sum"]) == (count, count / 2)
    # Threads that have ended leave nothing behind.
    assert not tallied._tallies
