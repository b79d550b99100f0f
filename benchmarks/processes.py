"""What /proc tells about processes and cores, and which core is whose."""

import os
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def available() -> list[int]:
    """The cores that this process may use."""
    return sorted(os.sched_getaffinity(0))


def cores() -> tuple[int, int] | None:
    """The server's core and the load's; None where there are not two."""
    found = available()
    return (found[0], found[1]) if len(found) > 1 else None


def pin(pid: int, core: int | None) -> None:
    """Keeps a process that has just been started, and all that it starts, on one core."""
    if core is not None:
        os.sched_setaffinity(pid, {core})


def family(pid: int) -> list[int]:
    """A process and those it has started, and so on."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            found += map(int, task.read_text().split())
    return found


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of these processes with all their threads, those that have ended among them."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_PER_SECOND


def resident_megabytes(pids: list[int]) -> float:
    """Memory of these processes together; what they share counts for each."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * PAGE_BYTES / 2**20


def busy_seconds(core: int | None) -> float:
    """What a core, or all of them together, has spent on processes since the machine was started."""
    label = "cpu" if core is None else f"cpu{core}"
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name == label:
            user, nice, system, _idle, _iowait, _irq, _softirq, steal = map(int, fields[:8])
            return (user + nice + system + steal) / TICKS_PER_SECOND
    raise ValueError(f"/proc/stat has no {label}")
