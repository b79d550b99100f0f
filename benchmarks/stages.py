"""Measure where the CPU time of a request is spent: `python -m benchmarks.stages`.

It needs py-spy (pip install py-spy), which must be allowed to inspect its child processes.

A run without a profiler measures the CPU time per request. A second run is sampled 500 times a second and gives the
shares. A sample counts for the innermost frame that belongs to a stage, so that a library's time counts for its caller.
The event loop's thread and the other threads are divided separately, by the CPU time that the kernel measures.
"""

import argparse
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks import processes
from benchmarks.load import find_generator
from benchmarks.measuring import Bench, Plan
from benchmarks.processes import cores
from benchmarks.scenarios import SCENARIOS

SAMPLES_PER_SECOND = 500
LOOP = "event loop: sockets, tasks, callbacks"
STAGES = {
    "HTTP: uvicorn, limits of the connection": r"uvicorn/|core/server/connection\.py",
    "handler: request, route, response": r"core/server/|core/http/(request|routing|responses)\.py|django/http",
    "access log, metrics": r"core/middleware/access_log\.py|core/telemetry/|prometheus_client/",
    "authentication, revocation": r"core/auth/|core/middleware/authentication\.py|jwt/",
    "rate limit": r"core/ratelimit/|core/middleware/rate_limit\.py",
    "Redis client": r"core/redis/",
    "other middleware": r"core/middleware/|corsheaders/|core/http/(forwarded|accept)\.py",
    "cache": r"core/resources/cache/",
    "ninja, validation": (
        r"ninja/|pydantic/|core/api/|core/http/(json_body|query_string|validation)\.py|items/(api|schemas)\.py"
    ),
    "resource: services, JSON": r"items/|core/resources/|core/http/conditional\.py",
    "handover to the database thread and back": r"core/database/(threads|pool)\.py|queue\.py",
    "statements, transactions": r"core/database/|django/db/|sqlite3/|psycopg",
}
_STAGES = [(name, re.compile(rf"\((?:[^()]*/)?(?:{pattern})")) for name, pattern in STAGES.items()]


def stage_of(stack: str) -> str:
    """Return the stage of a folded stack (`outer (file:line);inner (file:line)`)."""
    for frame in reversed(stack.split(";")):
        for name, pattern in _STAGES:
            # uvicorn's startup frames are at the bottom of every stack.
            if pattern.search(frame) and not frame.startswith(("Server.", "run (uvicorn", "main (uvicorn", "<module>")):
                return name
    return LOOP


def divide(folded: str, loop_us: float, others_us: float) -> dict[str, float]:
    """Divide the microseconds of the event loop's thread and those of the other threads among the stages."""
    loop, others = Counter[str](), Counter[str]()
    for line in folded.splitlines():
        stack, _, count = line.rpartition(" ")
        (others if "_bootstrap (threading" in stack else loop)[stage_of(stack)] += int(count)
    found = {
        name: loop_us * loop[name] / max(1, loop.total()) + others_us * others[name] / max(1, others.total())
        for name in loop | others
    }
    return dict(sorted(found.items(), key=lambda one: -one[1]))


def clocks(pids: list[int]) -> tuple[float, float]:
    """Return the CPU seconds of the service's event loop, and of all its threads."""
    fields = Path(f"/proc/{pids[-1]}/task/{pids[-1]}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / processes.TICKS_PER_SECOND, processes.cpu_seconds(pids)


def profile(bench: Bench, scenario: str, seconds: int) -> None:
    """Print the table of one scenario."""
    cpu_us = bench.measure(scenario).cpu_us
    folded = bench.folder / f"{scenario}.stacks"
    requests, pids = bench.prepare(scenario), bench.service.pids
    command = ["py-spy", "record", "--gil", "--nonblocking", "--rate", str(SAMPLES_PER_SECOND), "--format", "raw"]
    command += ["--duration", str(seconds), "--output", str(folded), "--pid", str(pids[-1])]
    spy = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    processes.pin(spy.pid, bench.generator.core)
    before = clocks(pids)
    bench.load(requests, connections=bench.plan.connections, seconds=seconds)
    loop, total = (new - old for new, old in zip(clocks(pids), before, strict=True))
    if spy.wait() != 0:
        raise SystemExit("py-spy failed: run it as root, or set kernel.yama.ptrace_scope=0")
    print(f"\n{scenario}: {cpu_us:.0f} µs of CPU time per request, {cpu_us * loop / total:.0f} of it on the event loop")
    stages = divide(folded.read_text(), cpu_us * loop / total, cpu_us * (1 - loop / total))
    for name, microseconds in stages.items():
        print(f"{microseconds:7.1f} µs  {name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=["get", "create"], metavar="NAME")
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--db", default="", metavar="DSN")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="copy the folded stacks here, for a flame graph")
    options = parser.parse_args()
    if not shutil.which("py-spy"):
        raise SystemExit("py-spy is not installed: pip install py-spy")
    where = cores()
    plan = Plan(options.scenarios, 1, 3, 1, 32, 2000, options.db)
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        Bench(plan, find_generator("", where and where[1]), Path(folder), where and where[0]) as bench,
    ):
        bench.seed()
        bench.service.start()
        for scenario in plan.scenarios:
            profile(bench, scenario, options.seconds)
            if options.keep:
                options.keep.mkdir(parents=True, exist_ok=True)
                shutil.copy(bench.folder / f"{scenario}.stacks", options.keep)
        bench.service.stop()


if __name__ == "__main__":
    main()
