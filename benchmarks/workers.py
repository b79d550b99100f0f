"""Compare the throughput of one worker and two: `python -m benchmarks.workers`. Two cores suffice.

The load generator shares the cores with the workers, so the rate does not show the gain. Instead, the script compares
the CPU time per request of one worker and of two, and measures how busy the cores are. An idle core under load would
mean that the workers wait for each other. On two free cores, two workers serve 2 x (time with one / time with two)
times as many requests as one.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks import processes
from benchmarks.load import find_generator
from benchmarks.measuring import Bench, Plan
from benchmarks.scenarios import SCENARIOS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=["get", "list"], metavar="NAME")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--db", default="", metavar="DSN", help="a PostgreSQL server, on which changes scale too")
    options = parser.parse_args()
    plan = Plan(options.scenarios, options.rounds, options.seconds, 1, 64, 2000, options.db)
    costs: dict[tuple[str, int], list[tuple[float, float]]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        # The scheduler distributes the service and the load over all cores.
        Bench(plan, find_generator("", None), Path(folder), None) as bench,
    ):
        bench.seed()
        for _ in range(plan.rounds):
            for workers in (1, 2):
                bench.service.start(workers)
                for scenario in plan.scenarios:
                    costs.setdefault((scenario, workers), []).append(measure(bench, scenario))
                bench.service.stop()
    print(f"{'scenario':12}{'µs with one':>12}{'with two':>10}{'cores busy with two':>21}{'two / one':>11}")
    for scenario in plan.scenarios:
        one, two = (median(cost for cost, _ in costs[scenario, workers]) for workers in (1, 2))
        busy = median(share for _, share in costs[scenario, 2])
        print(f"{scenario:12}{one:12.0f}{two:10.0f}{busy:21.0%}{2 * one / two:11.2f}")


def measure(bench: Bench, scenario: str) -> tuple[float, float]:
    """Return the CPU microseconds per request at speed 1, and the used share of all cores."""
    requests, pids = bench.prepare(scenario), bench.service.pids
    bench.load(requests, connections=bench.plan.connections, seconds=bench.plan.warmup_seconds)
    cores = len(processes.available())
    used, busy, started = processes.cpu_seconds(pids), processes.busy_seconds(None), time.monotonic()
    outcome = bench.load(requests, connections=bench.plan.connections, seconds=bench.plan.seconds)
    ended = time.monotonic()
    used, busy = processes.cpu_seconds(pids) - used, processes.busy_seconds(None) - busy
    speed = bench.yardstick.speed(started, ended)
    return used / max(1, outcome.requests) * 1e6 * speed, min(1.0, busy / (ended - started) / cores)


if __name__ == "__main__":
    main()
