"""How many processes there are, against what they share."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.db import connection

from core.operations.doctor.findings import Finding, error, info, ok, warning

CGROUP_MEMORY = Path("/sys/fs/cgroup/memory.max")
MEMORY = Path("/proc/meminfo")
ENOUGH_FILES = 4096
MIB = 1024 * 1024


def count_workers() -> int:
    """WORKERS (of `make run`), else WEB_CONCURRENCY (uvicorn's own). Without either, or any sense in it, 1."""
    text = os.environ.get("WORKERS") or os.environ.get("WEB_CONCURRENCY") or "1"
    return max(1, int(text)) if text.isascii() and text.isdigit() else 1


def check() -> Iterator[Finding]:
    """Looks at the numbers that the environment asks for, not at what runs."""
    workers = count_workers()
    for name in ("WORKERS", "WEB_CONCURRENCY"):
        text = os.environ.get(name, "")
        if text and not (text.isascii() and text.isdigit() and int(text)):
            yield error(f"{name} is no number from 1 on", f"Set {name}=1, or more")
    yield ok(f"{workers} worker{'s' if workers > 1 else ''} (WORKERS, WEB_CONCURRENCY)")
    if workers > 1 and connection.vendor == "sqlite":
        yield warning(
            f"{workers} workers on SQLite: each commits by itself, and they wait for each other",
            "Set WORKERS=1, which is faster, or use PostgreSQL",
        )
    if workers > 1 and not settings.REDIS_URL:
        yield warning(
            f"{workers} workers without Redis: each counts by itself, so clients get up to {workers} times RATE_LIMIT",
            "Set REDIS_URL",
        )
    if workers > 2 * (cores := len(os.sched_getaffinity(0))):
        yield info(f"{workers} workers on {cores} cores", "One or two for each core are as fast, and take less memory")
    yield from _memory(workers)
    # The service raises its limit as far as this (core/process/open_files.py).
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files != resource.RLIM_INFINITY and files < ENOUGH_FILES:
        yield warning(
            f"A process may have {files} files open, and each connection is one",
            "Raise the hard limit: ulimit -Hn 65536, or LimitNOFILE=65536 in the unit file",
        )


def _memory(workers: int) -> Iterator[Finding]:
    hashing = workers * settings.PASSWORD_HASHING_THREADS * settings.ARGON2_MEMORY_KIB * 1024
    most = memory_bytes()
    if most and hashing > most / 4:
        yield warning(
            f"Log-ins alone may take {hashing // MIB} of the {most // MIB} MiB of memory",
            "Lower PASSWORD_HASHING_THREADS or WORKERS, or give it more memory",
        )


def memory_bytes() -> int:
    """What the container, else the machine, has; 0 if nobody tells."""
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
