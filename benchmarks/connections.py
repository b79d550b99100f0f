"""Measure the service with more and more concurrent connections: `python -m benchmarks.connections`.

Up to saturation, the rate grows with the connections. Beyond it, each further connection makes all requests wait
longer, until the service refuses requests with 503 and Retry-After. Meanwhile a probe requests /health/live ten times
a second.
"""

import argparse
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import Self

from benchmarks.load import Outcome, find_generator
from benchmarks.measuring import Bench, Plan
from benchmarks.processes import cores, resident_megabytes
from benchmarks.scenarios import SCENARIOS

HEAD = "scenario    connections   good/s    503/s   p50 ms   p99 ms  health ms  RSS MB"
PROBE_SECONDS = 0.1


class Probe:
    """Requests /health/live repeatedly, as an orchestrator does, and records the latencies."""

    def __init__(self, bench: Bench) -> None:
        self._bench, self._is_over = bench, threading.Event()
        self.milliseconds: list[float] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(PROBE_SECONDS):
            started = time.perf_counter()
            status, _ = self._bench.service.send("GET", "/health/live")
            took = (time.perf_counter() - started) * 1000
            self.milliseconds.append(took if status == 200 else float("inf"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=["get", "list", "create"], metavar="NAME")
    parser.add_argument("--connections", nargs="+", type=int, default=[1, 32, 256, 1000, 4000], metavar="NUMBER")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--db", default="", metavar="DSN")
    parser.add_argument(
        "--set",
        nargs="*",
        default=[],
        metavar="NAME=VALUE",
        help="settings of the service",
    )
    options = parser.parse_args()
    where = cores()
    plan = Plan(options.scenarios, options.rounds, options.seconds, 1, 32, 2000, options.db)
    settings = dict(one.split("=", 1) for one in options.set)
    generator = find_generator("", where and where[1])
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        Bench(plan, generator, Path(folder), where and where[0], **settings) as bench,
    ):
        bench.seed()
        print(f"load: {generator.name}\n{HEAD}\n{'-' * len(HEAD)}")
        for scenario in plan.scenarios:
            bench.service.start()
            for connections in options.connections:
                print(measure(bench, scenario, connections), flush=True)
            bench.service.stop()


def measure(bench: Bench, scenario: str, connections: int) -> str:
    """Return one line of the table: the medians over the rounds."""
    outcomes, probed = [], []
    requests = bench.prepare(scenario)
    bench.load(requests, connections=connections, seconds=bench.plan.warmup_seconds)
    for _ in range(bench.plan.rounds):
        with Probe(bench) as probe:
            outcomes.append(bench.load(requests, connections=connections, seconds=bench.plan.seconds))
        probed += probe.milliseconds
    good = median(share(one, SCENARIOS[scenario][1]) * one.rate for one in outcomes)
    refused = median(share(one, frozenset({503})) * one.rate for one in outcomes)
    p50, p99 = median(one.p50_ms for one in outcomes), median(one.p99_ms for one in outcomes)
    others = sum(one.errors for one in outcomes) + sum(
        count
        for one in outcomes
        for status, count in one.statuses.items()
        if status not in SCENARIOS[scenario][1] | {503}
    )
    line = f"{scenario:11}{connections:12}{good:9.0f}{refused:9.0f}{p50:9.1f}{p99:9.1f}"
    line += f"{max(probed, default=0):11.1f}{resident_megabytes(bench.service.pids):8.0f}"
    return line + (f"  {others} unexpected responses or errors" if others else "")


def share(outcome: Outcome, statuses: frozenset[int]) -> float:
    """Return the share of responses with one of these statuses."""
    return sum(count for status, count in outcome.statuses.items() if status in statuses) / max(1, outcome.requests)


if __name__ == "__main__":
    main()
