"""strace on a running process: to see the order of its system calls, to have some of them fail, or be its last."""

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
    """Every thread of the process is traced within the block. Lines go to `output`, descriptors with their paths."""
    program = shutil.which("strace")
    if program is None:
        pytest.skip("strace is not on this machine: apt install strace")
    command = [program, "-f", "-y", "-s", "64", "-o", str(output), *options, "-p", str(pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    try:
        told = tracer.stderr.readline()
        if "attached" not in told:
            pytest.skip(f"strace cannot trace here: {told.strip()}")
        _await_all_threads(pid, tracer.pid)
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.communicate(timeout=30)


def _await_all_threads(pid: int, tracer: int) -> None:
    """It attaches to one thread after the other."""
    deadline = time.monotonic() + 30
    while True:
        states = [task / "status" for task in Path(f"/proc/{pid}/task").iterdir()]
        if all(f"TracerPid:\t{tracer}\n" in state.read_text() for state in states):
            return
        assert time.monotonic() < deadline, "strace does not attach"
        os.sched_yield()
