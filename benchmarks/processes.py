"""Read processes and cores from /proc, and assign cores."""

import os
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def available() -> list[int]:
    """Return the cores that this process may use."""
    return sorted(os.sched_getaffinity(0))


def cores() -> tuple[int, int] | None:
    """Return the core of the service and that of the load generator, or None if there is only one core."""
    found = available()
    return (found[0], found[1]) if len(found) > 1 else None


def pin(pid: int, core: int | None) -> None:
    """Pin a new process, and all processes that it will start, to one core."""
    if core is not None:
        os.sched_setaffinity(pid, {core})


def family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            found += map(int, task.read_text().split())
    return found


def cpu_seconds(pids: list[int]) -> float:
    """Return the user and system CPU time of the processes, with their threads and ended children."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_PER_SECOND


def resident_megabytes(pids: list[int]) -> float:
    """Return the total resident memory of the processes. Shared memory counts for each process."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * PAGE_BYTES / 2**20


def busy_seconds(core: int | None) -> float:
    """Return the CPU time that a core, or all cores together, has spent on processes since boot."""
    label = "cpu" if core is None else f"cpu{core}"
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name == label:
            user, nice, system, _idle, _iowait, _irq, _softirq, steal = map(int, fields[:8])
            return (user + nice + system + steal) / TICKS_PER_SECOND
    raise ValueError(f"/proc/stat has no {label}")
