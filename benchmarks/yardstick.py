"""Measure the current speed of the service's core.

The speed of a virtual core changes from second to second, with its clock and with the load of its physical neighbour. A
process on the service's core repeats a small piece of work every 25 ms (2 % of the core) and records its CPU time.
Rates are then corrected to the same speed.
"""

import json
import os
import subprocess
import sys
import time
from bisect import bisect_left
from pathlib import Path
from statistics import median

from benchmarks import processes

# At speed 1, the piece of work takes this long.
NOMINAL_MICROSECONDS = 500.0
INTERVAL_SECONDS = 0.025


class Yardstick:
    """The measuring process and its records. `stop` ends the process."""

    def __init__(self, folder: Path, core: int | None) -> None:
        self._file = folder / "yardstick"
        self._file.touch()
        command = [sys.executable, "-m", "benchmarks.yardstick", str(self._file)]
        self.process = subprocess.Popen(command)
        processes.pin(self.process.pid, core)

    def speed(self, start: float, end: float) -> float:
        """Return the core's speed between two instants of time.monotonic(), or 1 if there are too few records."""
        return speed(self._file.read_text(), start, end)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def speed(notes: str, start: float, end: float) -> float:
    """Return the speed between two instants from the records."""
    samples = [(float(words[0]), float(words[1])) for line in notes.splitlines() if len(words := line.split()) == 2]
    chosen = samples[bisect_left(samples, (start, 0.0)) : bisect_left(samples, (end, 0.0))]
    if len(chosen) < 5:
        return 1.0
    return NOMINAL_MICROSECONDS / median(microseconds for _, microseconds in chosen)


def _work() -> int:
    """Use dictionaries, strings, JSON and calls, as a web service does."""
    total = 0
    for number in range(60):
        text = json.dumps({"number": number, "names": ["Alpha".upper(), "Beta".upper(), f"GAMMA{number}"]})
        total += len(json.loads(text)["names"]) + len(text.encode())
    return total


def _main(file: str) -> None:
    parent = os.getppid()
    with Path(file).open("w", buffering=1) as notes:
        while os.getppid() == parent:
            before = time.thread_time_ns()
            _work()
            notes.write(f"{time.monotonic():.3f} {(time.thread_time_ns() - before) / 1e3:.1f}\n")
            time.sleep(INTERVAL_SECONDS)


if __name__ == "__main__":
    _main(sys.argv[1])
