"""Measures the service on this machine: requests a second, latency, CPU time and memory, scenario by scenario.

Needs nothing but the project; wrk and redis-server are used where they are installed. The service runs on one core
with a database of its own, the load on another. docs/performance.md says how to read the figures.
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
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=2, help="for how long each time (default: %(default)s)")
    parser.add_argument("--warmup", type=float, default=1, help="seconds before that (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=32, help="that ask all the time (default: %(default)s)")
    parser.add_argument("--items", type=int, default=10_000, help="in the database (default: %(default)s)")
    parser.add_argument("--db", default="", metavar="DSN", help="postgresql://…, beside whose database another is made "
                        "and dropped again (default: a SQLite file)")  # fmt: skip
    parser.add_argument("--redis", metavar="URL", help="a Redis to use; none: do without "
                        "(default: a private one if redis-server is installed)")  # fmt: skip
    parser.add_argument("--load", choices=("wrk", "python"), default="", help="what makes the load "
                        "(default: wrk if it is installed)")  # fmt: skip
    parser.add_argument("--save", default=LAST, metavar="NAME", help="keep the results under this name, too")
    parser.add_argument("--against", default=LAST, metavar="NAME", help="compare with these results "
                        "(default: those of the last time)")  # fmt: skip
    parser.add_argument("--folder", type=Path, default=results.FOLDER, help="where results are kept "
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
        sys.exit(f"There are no results of the name {options.against}.")
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        Bench(plan, generator, Path(folder), where and where[0]) as bench,
    ):
        conditions = describe(plan, bench)
        print(", ".join(f"{name}: {value}" for name, value in conditions.items()), flush=True)
        if where is None:
            print("There is but one core: the load takes its time from the service.")
        bench.seed()
        found = Results(conditions, run_rounds(plan, bench))
    show(found, before, options.against)
    for name in {LAST, options.save}:
        file = results.save(found, options.folder, name)
        file.with_suffix(".svg").write_text(chart(found, before, options.against))
        print(f"Kept as {file} and .svg")
    sys.exit(1 if found.problems else 0)


def describe(plan: Plan, bench: Bench) -> dict[str, str | int | float]:
    """What has to be equal for two results to be compared."""
    return {
        "database": "PostgreSQL" if plan.dsn else "SQLite",
        "redis": "yes" if bench.redis_url else "no (limits in the process, no cache)",
        "load": bench.generator.name,
        "connections": plan.connections,
        "items": plan.items,
    }


def run_rounds(plan: Plan, bench: Bench) -> list[Run]:
    """All rounds, each beginning with another scenario, so that what comes and goes hits all of them."""
    runs: list[Run] = []
    for number in range(plan.rounds):
        turn = number % len(plan.scenarios)

        def tell(run: Run, number: int = number) -> None:
            print(f"  {number + 1}/{plan.rounds}  {run.scenario:12} {run.rate:7.0f}/s", file=sys.stderr, flush=True)

        runs += bench.round(plan.scenarios[turn:] + plan.scenarios[:turn], tell)
    return runs


def show(found: Results, before: Results | None, name: str) -> None:
    """The table and what is to be said of it."""
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
