"""Do two workers do twice the work of one? `python -m benchmarks.workers`, on a machine with as few as two cores.

Where the load has to share the cores with the workers, the rate cannot tell. What can: the CPU time of one request,
with one worker on one core and with two on two, and whether the two ever wait for each other, which shows as cores
that are idle while load is there. Two workers on two free cores then give 2 x (time with one / time with two) of one.
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
    parser.add_argument("--db", default="", metavar="DSN", help="PostgreSQL, where changes scale as well")
    options = parser.parse_args()
    plan = Plan(options.scenarios, options.rounds, options.seconds, 1, 64, 2000, options.db)
    costs: dict[tuple[str, int], list[tuple[float, float]]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        # On all cores, both the service and the load: the scheduler gives each what it needs.
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
    """CPU microseconds of one request at speed 1, and the share of all cores that was in use."""
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
