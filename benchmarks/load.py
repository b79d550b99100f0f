"""Put load on the service with wrk, or with asyncio_load.py if wrk is not installed."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Outcome:
    """The result of a load generator. Latencies are in milliseconds; `cpu_seconds` is its own CPU time."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: int
    statuses: dict[int, int]
    cpu_seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Responses per second."""
        return self.requests / self.seconds


@dataclass(frozen=True)
class Generator:
    """A load generator, pinned to its own core if there are two."""

    name: str
    core: int | None

    def run(self, port: int, requests: Path, *, connections: int, seconds: float, limit: int = -1) -> Outcome:
        """Send the requests in the file over the connections. Raises RuntimeError if the generator fails."""
        number = time.time_ns() // 1000
        environment = os.environ | {"BENCH_REQUESTS": str(requests), "BENCH_NUMBER": str(number)}
        if self.name == "wrk" and limit < 0:
            command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
            command += ["-s", str(HERE / "wrk.lua"), f"http://127.0.0.1:{port}"]
        else:
            command = [sys.executable, "-m", "benchmarks.asyncio_load", "--port", str(port), "--limit", str(limit)]
            command += ["--requests", str(requests), "--number", str(number)]
            command += ["--connections", str(connections), "--seconds", str(seconds)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=HERE.parent)
        processes.pin(process.pid, self.core)
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
        return parse_outcome(output, cpu_seconds=usage.ru_utime + usage.ru_stime)


def find_generator(wanted: str, core: int | None) -> Generator:
    """Return the wanted generator, or wrk if it is installed, or else the generator in Python."""
    found = wanted or ("wrk" if shutil.which("wrk") else "python")
    if found == "wrk" and not shutil.which("wrk"):
        raise RuntimeError("wrk is not installed")
    return Generator(found, core)


def parse_outcome(output: str, *, cpu_seconds: float = 0.0) -> Outcome:
    """Parse the RESULT line. Raises RuntimeError with the output if there is none."""
    line = next((line for line in output.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise RuntimeError(f"the load generator failed: {output[-1000:].strip() or 'no output'}")
    result = json.loads(line.removeprefix("RESULT "))
    return Outcome(
        requests=result["requests"],
        seconds=result["microseconds"] / 1e6,
        p50_ms=result["p50_us"] / 1e3,
        p99_ms=result["p99_us"] / 1e3,
        errors=result["errors"],
        statuses={int(status): count for status, count in result["statuses"].items()},
        cpu_seconds=cpu_seconds,
    )
