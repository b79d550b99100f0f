"""How long a worker takes to start, beside bare Django: `python -m benchmarks.startup`.

Bare Django is what `startproject` makes, served by the same uvicorn: django.setup(), get_asgi_application(). Both are
started in turn, by pairs, until they have answered a request, and the ratio is the median of those of the pairs. What
counts most is CPU time, which other programs disturb least; bytecode is compiled beforehand, as an image has it.

What a worker prepares only after its first answer is shown, too: CPU time until SETTLED_SECONDS after it.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.service import INHERITED, PROJECT, UVICORN_FLAGS
from benchmarks.surroundings import START_SECONDS, free_port

SECRET = "only-for-measuring-" * 2
# By then a worker is warm: core/process/warm_up.py.
SETTLED_SECONDS = 1.5


class Start(NamedTuple):
    """What was measured, in seconds: until the first answer, for the second one, until it is warm."""

    cpu: float
    time: float
    second_answer: float
    settled_cpu: float


class Candidate:
    """Something to start: an ASGI application, where it is, and what it is asked."""

    def __init__(self, application: str, folder: Path, path: str, **settings: str) -> None:
        self._application, self._folder, self._path = application, folder, path
        self._settings = settings

    def start(self, python: str, bytecode: Path) -> Start:
        """Starts it, asks it twice, and ends it."""
        port = free_port()
        command = [python, "-m", "uvicorn", self._application, "--port", str(port), "--log-level", "error"]
        environment = INHERITED | {"PYTHONPYCACHEPREFIX": str(bytecode)} | self._settings
        started = time.perf_counter()
        process = subprocess.Popen(
            [*command, *UVICORN_FLAGS], cwd=self._folder, env=environment, stdout=subprocess.DEVNULL
        )
        try:
            while not self._answers(port):
                if process.poll() is not None or time.perf_counter() - started > START_SECONDS:
                    raise RuntimeError(f"{self._application} did not start")
                time.sleep(0.002)
            answered = time.perf_counter()
            cpu = _cpu_seconds(process.pid)
            asked = time.perf_counter()
            self._answers(port)
            second_answer = time.perf_counter() - asked
            time.sleep(SETTLED_SECONDS)
            return Start(cpu, answered - started, second_answer, _cpu_seconds(process.pid))
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def _answers(self, port: int) -> bool:
        connection = HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
        try:
            connection.request("GET", self._path)
            connection.getresponse().read()
        except OSError:
            return False
        finally:
            connection.close()
        return True


def _cpu_seconds(pid: int) -> float:
    """The CPU time of a process, exactly: /proc counts in steps of 10 ms. As clock_getcpuclockid(3) has it."""
    return time.clock_gettime((~pid << 3) | 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--python", default=sys.executable, help="of an environment without what tests need, say")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as made:
        folder = Path(made)
        bare = folder / "bare"
        bare.mkdir()
        subprocess.run([options.python, "-m", "django", "startproject", "bare", str(bare)], check=True)
        settings = {"DB_DSN": f"sqlite:///{folder / 'bench.db'}", "REDIS_URL": "", "JWT_SECRET": SECRET}
        environment = os.environ | settings
        subprocess.run([options.python, "manage.py", "migrate", "-v0"], cwd=PROJECT, env=environment, check=True)
        candidates = {
            "bare Django": Candidate("bare.asgi:application", bare, "/"),
            "Agent Router": Candidate("agent_router.asgi:application", PROJECT, "/v1/items/", **settings),
        }
        figures: dict[str, list[Start]] = {name: [] for name in candidates}
        for number in range(options.rounds + 1):
            # The other one first each time: whoever comes second may find the machine in another state.
            for name in sorted(candidates, reverse=number % 2 == 0):
                measured = candidates[name].start(options.python, folder / "bytecode")
                if number:  # the first start compiles
                    figures[name].append(measured)
    show(figures)


def show(figures: dict[str, list[Start]]) -> None:
    print(f"{'':14}{'CPU ms':>9}{'ms':>9}{'second answer ms':>19}{'CPU ms when warm':>19}")
    for name, runs in figures.items():
        cpu, first, second, settled = (median(column) * 1000 for column in zip(*runs, strict=True))
        print(f"{name:14}{cpu:9.0f}{first:9.0f}{second:19.1f}{settled:19.0f}")
    bare, ours = figures.values()
    for what in ("cpu", "time"):
        ratios = sorted(getattr(our, what) / getattr(its, what) for its, our in zip(bare, ours, strict=True))
        quarter = len(ratios) // 4
        print(
            f"Agent Router / bare Django, by {what}: {median(ratios):.2f}"
            f" (middle half {ratios[quarter]:.2f} to {ratios[-1 - quarter]:.2f})"
        )


if __name__ == "__main__":
    main()
