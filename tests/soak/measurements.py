"""Memory, threads, descriptors and connections of the service over time."""

import os
import statistics
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.faults.processes import memory_mib, open_files, threads
from tests.faults.stack import Stack, workers

# Growth that is not a leak: caches fill, and the allocator keeps free memory.
SLACK_MIB, SLACK_SHARE = 10.0, 0.1
# asyncio's default executor starts its threads one by one.
SLACK_THREADS = min(32, (os.cpu_count() or 1) + 4)


class Sample(NamedTuple):
    """A measurement of one process."""

    at: float
    memory_mib: float
    threads: int


@dataclass
class Measurements:
    """The samples of every process, by process id."""

    stack: Stack
    samples: dict[int, list[Sample]] = field(default_factory=dict)

    def take(self) -> None:
        """Take one sample of each worker."""
        for pid in workers(self.stack.service):
            with suppress(OSError, ValueError):
                sample = Sample(time.monotonic(), memory_mib(pid), threads(pid))
                self.samples.setdefault(pid, []).append(sample)

    def now(self) -> str:
        """Return the last samples as text."""
        living = workers(self.stack.service)
        last = [self.samples[pid][-1] for pid in living if self.samples.get(pid)]
        return " ".join(f"{one.memory_mib:.0f} MiB/{one.threads} threads" for one in last)

    def growth(self, since: float) -> list[str]:
        """Return what has grown in living processes between the second and the last fifth of the samples."""
        found = []
        for pid in workers(self.stack.service):
            samples = [one for one in self.samples.get(pid, ()) if one.at >= since]
            fifth = len(samples) // 5
            if fifth < 2:
                found.append(f"process {pid} has too few samples")
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
    """Return the number of open descriptors of each worker."""
    return {pid: open_files(pid) for pid in workers(stack.service)}


def connections(stack: Stack) -> dict[str, int]:
    """Return the number of connections that Redis and PostgreSQL count."""
    with stack.redis.client() as redis:
        found = {"redis": len(redis.client_list())}
    if stack.postgres is not None:
        query = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()"
        found["postgres"] = stack.service.query(query)[0][0]
    return found
