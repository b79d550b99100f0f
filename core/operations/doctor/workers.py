"""Number of workers, compared with CPU, memory, open files, database and Redis."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.db import connection

from core.operations.doctor.disk import MIB
from core.operations.doctor.findings import Finding, error, info, ok, warning

CGROUP_MEMORY = Path("/sys/fs/cgroup/memory.max")
MEMORY = Path("/proc/meminfo")
MINIMUM_FILES = 4096


def count_workers() -> int:
    """Return WORKERS (of `make run`), or else WEB_CONCURRENCY (of uvicorn). Return 1 without a valid value."""
    text = os.environ.get("WORKERS") or os.environ.get("WEB_CONCURRENCY") or "1"
    return max(1, int(text)) if text.isascii() and text.isdigit() else 1


def check() -> Iterator[Finding]:
    workers = count_workers()
    for name in ("WORKERS", "WEB_CONCURRENCY"):
        text = os.environ.get(name, "")
        if text and not (text.isascii() and text.isdigit() and int(text)):
            yield error(f"{name} is not a positive number", f"Set {name}=1 or higher")
    yield ok(f"{workers} worker{'s' if workers > 1 else ''} (WORKERS, WEB_CONCURRENCY)")
    if workers > 1 and connection.vendor == "sqlite":
        yield warning(
            f"{workers} workers on SQLite wait for each other's commits",
            "Set WORKERS=1, which is faster, or use PostgreSQL",
        )
    if workers > 1 and not settings.REDIS_URL:
        yield warning(
            f"{workers} workers without Redis count separately: clients get up to {workers} times RATE_LIMIT",
            "Set REDIS_URL",
        )
    if workers > 2 * (cores := len(os.sched_getaffinity(0))):
        yield info(
            f"{workers} workers on {cores} cores", "One or two workers per core are as fast and need less memory"
        )
    yield from _memory(workers)
    # core/process/open_files.py raises the soft limit to the hard limit.
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files != resource.RLIM_INFINITY and files < MINIMUM_FILES:
        yield warning(
            f"A process may open only {files} files, and each connection is a file",
            "Raise the hard limit: ulimit -Hn 65536, or LimitNOFILE=65536 in the unit file",
        )


def _memory(workers: int) -> Iterator[Finding]:
    hashing = workers * settings.PASSWORD_HASHING_THREADS * settings.ARGON2_MEMORY_KIB * 1024
    total = memory_bytes()
    if total and hashing > total / 4:
        yield warning(
            f"Log-ins alone may use {hashing // MIB} of {total // MIB} MiB of memory",
            "Lower PASSWORD_HASHING_THREADS or WORKERS, or add memory",
        )


def memory_bytes() -> int:
    """Return the memory of the container, or else of the machine. Return 0 if it is unknown."""
    try:
        limit = CGROUP_MEMORY.read_text().strip()
    except OSError:
        limit = "max"
    if limit.isdigit():
        return int(limit)
    try:
        return int(MEMORY.read_text().partition("MemTotal:")[2].split()[0]) * 1024
    except (OSError, IndexError):
        return 0
