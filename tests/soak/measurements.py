"""What the service's processes take over time, and whether it becomes more."""

import os
import statistics
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.faults.processes import memory_mib, open_files, threads
from tests.faults.stack import Stack, workers

# What memory may grow by and be no leak: caches that fill, an allocator that keeps what it has.
SLACK_MIB, SLACK_SHARE = 10.0, 0.1
# asyncio's own pool, for what it cannot wait for otherwise, gets its threads one by one.
SLACK_THREADS = min(32, (os.cpu_count() or 1) + 4)


class Sample(NamedTuple):
    """Of one process."""

    at: float
    memory_mib: float
    threads: int


@dataclass
class Measurements:
    """Of every process by its id."""

    stack: Stack
    samples: dict[int, list[Sample]] = field(default_factory=dict)

    def take(self) -> None:
        """One sample of each worker."""
        for pid in workers(self.stack.service):
            with suppress(OSError, ValueError):
                sample = Sample(time.monotonic(), memory_mib(pid), threads(pid))
                self.samples.setdefault(pid, []).append(sample)

    def now(self) -> str:
        """The last samples, for people."""
        living = workers(self.stack.service)
        last = [self.samples[pid][-1] for pid in living if self.samples.get(pid)]
        return " ".join(f"{one.memory_mib:.0f} MiB/{one.threads} threads" for one in last)

    def growth(self, since: float) -> list[str]:
        """What has grown in processes that lived all the time, from the second fifth of it to the last."""
        found = []
        for pid in workers(self.stack.service):
            samples = [one for one in self.samples.get(pid, ()) if one.at >= since]
            fifth = len(samples) // 5
            if fifth < 2:
                found.append(f"process {pid} was not looked at for long enough")
                continue
            early, late = samples[fifth : 2 * fifth], samples[-fifth:]
            before, after = (statistics.median(one.memory_mib for one in part) for part in (early, late))
            print(f"  process {pid}: {before:.1f} MiB early, {after:.1f} MiB late, {samples[-1].threads} threads")
            if after - before > SLACK_MIB + SLACK_SHARE * before:
                found.append(f"process {pid} has grown from {before:.0f} to {after:.0f} MiB")
            if samples[-1].threads > max(one.threads for one in early) + SLACK_THREADS:
                found.append(f"process {pid} has {samples[-1].threads} threads")
        return found


def descriptors(stack: Stack) -> dict[int, int]:
    """How many each worker has open."""
    return {pid: open_files(pid) for pid in workers(stack.service)}


def connections(stack: Stack) -> dict[str, int]:
    """What Redis and PostgreSQL know of the service."""
    with stack.redis.client() as redis:
        found = {"redis": len(redis.client_list())}
    if stack.postgres is not None:
        query = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()"
        found["postgres"] = stack.service.query(query)[0][0]
    return found
