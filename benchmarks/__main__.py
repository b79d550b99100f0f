"""Measure the service on this machine: request rate, latency, CPU time and memory of each scenario.

No other programs are needed, but wrk and redis-server are used if they are installed. The service runs on one core with
a private database, and the load generator on another. docs/performance.md explains the figures.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks import comparison, results
from benchmarks.chart import chart
from benchmarks.load import find_generator
from benchmarks.measuring import Bench, Plan
from benchmarks.processes import cores
from benchmarks.results import LAST, Results, Run
from benchmarks.scenarios import SCENARIOS
from benchmarks.table import remarks, table


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=list(SCENARIOS), metavar="NAME",
                        help=f"some of: {' '.join(SCENARIOS)} (default: all)")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each scenario (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=2, help="seconds of each measurement (default: %(default)s)")
    parser.add_argument("--warmup", type=float, default=1, help="seconds of warm-up before each (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=32, help="concurrent connections (default: %(default)s)")
    parser.add_argument("--items", type=int, default=10_000, help="items in the database (default: %(default)s)")
    parser.add_argument("--db", default="", metavar="DSN", help="a PostgreSQL server, on which a database is created "
                        "and dropped at the end (default: a SQLite file)")  # fmt: skip
    parser.add_argument("--redis", metavar="URL", help="an existing Redis, or none to run without Redis "
                        "(default: a private redis-server if it is installed)")  # fmt: skip
    parser.add_argument("--load", choices=("wrk", "python"), default="", help="the load generator "
                        "(default: wrk if it is installed)")  # fmt: skip
    parser.add_argument("--save", default=LAST, metavar="NAME", help="also save the results under this name")
    parser.add_argument("--against", default=LAST, metavar="NAME", help="compare with the results of this name "
                        "(default: the previous run)")  # fmt: skip
    parser.add_argument("--folder", type=Path, default=results.FOLDER, help="the folder of the results "
                        "(default: benchmarks/results)")  # fmt: skip
    return parser.parse_args()


def main() -> None:
    options = read_options()
    where = cores()
    try:
        generator = find_generator(options.load, where and where[1])
    except RuntimeError as problem:
        sys.exit(str(problem))
    plan = Plan(
        options.scenarios, options.rounds, options.seconds, options.warmup, options.connections, options.items,
        options.db, "" if options.redis == "none" else options.redis,
    )  # fmt: skip
    before = results.load(options.folder, options.against)
    if before is None and options.against != LAST:
        sys.exit(f"There are no results named {options.against}.")
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        Bench(plan, generator, Path(folder), where and where[0]) as bench,
    ):
        conditions = describe(plan, bench)
        print(", ".join(f"{name}: {value}" for name, value in conditions.items()), flush=True)
        if where is None:
            print("This machine has one core, so the load generator slows the service.")
        bench.seed()
        found = Results(conditions, run_rounds(plan, bench))
    show(found, before, options.against)
    for name in {LAST, options.save}:
        file = results.save(found, options.folder, name)
        file.with_suffix(".svg").write_text(chart(found, before, options.against))
        print(f"Saved as {file} and .svg")
    sys.exit(1 if found.problems else 0)


def describe(plan: Plan, bench: Bench) -> dict[str, str | int | float]:
    """Return the conditions that two results must share to be comparable."""
    return {
        "database": "PostgreSQL" if plan.dsn else "SQLite",
        "redis": "yes" if bench.redis_url else "no (limits in the process, no cache)",
        "load": bench.generator.name,
        "connections": plan.connections,
        "items": plan.items,
    }


def run_rounds(plan: Plan, bench: Bench) -> list[Run]:
    """Run all rounds. Each begins with another scenario, so that disturbances affect all of them equally."""
    runs: list[Run] = []
    for number in range(plan.rounds):
        turn = number % len(plan.scenarios)

        def report(run: Run, number: int = number) -> None:
            print(f"  {number + 1}/{plan.rounds}  {run.scenario:12} {run.rate:7.0f}/s", file=sys.stderr, flush=True)

        runs += bench.round(plan.scenarios[turn:] + plan.scenarios[:turn], report)
    return runs


def show(found: Results, before: Results | None, name: str) -> None:
    """Print the table and remarks."""
    changes = []
    if before is not None:
        if differences := comparison.different_conditions(found, before):
            print(f"\nNot compared with {name}: {'; '.join(differences)}")
        else:
            changes = comparison.compare(found, before)
    print("\n" + table(found, {change.scenario: change for change in changes}, name) + "\n")
    for remark in remarks(found):
        print(remark)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
