"""Resources that a process uses."""

import os
from contextlib import suppress
from pathlib import Path


def open_files(pid: int) -> int:
    """Return the number of open file descriptors."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def sqlite_connections(pid: int) -> int:
    """Return the number of descriptors of a stack's SQLite database."""
    count = 0
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # the descriptor may be closed by now
            count += one.readlink().name == "app.db"
    return count


def threads(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())


def memory_mib(pid: int) -> float:
    """Return the private resident memory, without pages shared with files."""
    _, resident, shared, *_ = map(int, Path(f"/proc/{pid}/statm").read_text().split())
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu_seconds(pid: int) -> float:
    """Return the user and system CPU time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
