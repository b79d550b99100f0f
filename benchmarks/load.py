"""Puts load on the service with wrk, or with asyncio_load.py where wrk is not installed."""

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
    """What a load generator saw. Latencies in milliseconds; `cpu_seconds` is what it took itself."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: int
    statuses: dict[int, int]
    cpu_seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Responses a second."""
        return self.requests / self.seconds


@dataclass(frozen=True)
class Generator:
    """A program that makes load, on a core of its own if there is one."""

    name: str
    core: int | None

    def run(self, port: int, requests: Path, *, connections: int, seconds: float, limit: int = -1) -> Outcome:
        """Asks what is in the file `requests` over so many connections. Raises RuntimeError if it fails."""
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
    """wrk if it is installed, else the one written in Python; or the one that is wanted."""
    found = wanted or ("wrk" if shutil.which("wrk") else "python")
    if found == "wrk" and not shutil.which("wrk"):
        raise RuntimeError("wrk is not installed")
    return Generator(found, core)


def parse_outcome(output: str, *, cpu_seconds: float = 0.0) -> Outcome:
    """Reads the RESULT line. Raises RuntimeError with what was written instead."""
    line = next((line for line in output.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise RuntimeError(f"the load generator failed: {output[-1000:].strip() or 'it wrote nothing'}")
    told = json.loads(line.removeprefix("RESULT "))
    return Outcome(
        requests=told["requests"],
        seconds=told["microseconds"] / 1e6,
        p50_ms=told["p50_us"] / 1e3,
        p99_ms=told["p99_us"] / 1e3,
        errors=told["errors"],
        statuses={int(status): count for status, count in told["statuses"].items()},
        cpu_seconds=cpu_seconds,
    )
