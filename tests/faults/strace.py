"""Trace a running process with strace: order its system calls, make them fail, or kill the process at one."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def traced(pid: int, *options: str, output: Path) -> Iterator[None]:
    """Trace every thread of the process until the block ends. `output` gets the calls, with paths for descriptors."""
    program = shutil.which("strace")
    if program is None:
        pytest.skip("strace is not installed: apt-get install strace")
    command = [program, "-f", "-y", "-s", "64", "-o", str(output), *options, "-p", str(pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    try:
        line = tracer.stderr.readline()
        if "attached" not in line:
            pytest.skip(f"strace cannot trace here: {line.strip()}")
        _await_all_threads(pid, tracer.pid)
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.communicate(timeout=30)


def _await_all_threads(pid: int, tracer: int) -> None:
    """Wait until strace is attached to every thread, which it does one after another."""
    deadline = time.monotonic() + 30
    while True:
        states = [task / "status" for task in Path(f"/proc/{pid}/task").iterdir()]
        if all(f"TracerPid:\t{tracer}\n" in state.read_text() for state in states):
            return
        assert time.monotonic() < deadline, "strace does not attach to all threads"
        os.sched_yield()
