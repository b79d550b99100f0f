"""What a process takes of the machine."""

import os
from contextlib import suppress
from pathlib import Path


def open_files(pid: int) -> int:
    """Its descriptors."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def sqlite_connections(pid: int) -> int:
    """Those that it has to the SQLite database of a stack."""
    count = 0
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            count += one.readlink().name == "app.db"
    return count


def threads(pid: int) -> int:
    """Its threads."""
    return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())


def memory_mib(pid: int) -> float:
    """What it has in memory of its own: without pages that it shares with files."""
    _, resident, shared, *_ = map(int, Path(f"/proc/{pid}/statm").read_text().split())
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu_seconds(pid: int) -> float:
    """Processor time that it has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
