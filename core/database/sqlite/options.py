"""How each SQLite connection is set up: once, when it is opened."""

from typing import Any

BUSY_TIMEOUT_SECONDS = 10
WRITER_CHECKPOINT_PAGES = 1000

PRAGMAS = {
    # Readers go on while one writes, and the other way round.
    "journal_mode": "WAL",
    # An acknowledged commit survives a power cut. NORMAL lost a third of them on a rig that cut the power;
    # group commit (core/database/pool.py) pays for FULL.
    "synchronous": "FULL",
    # SQLite leaves foreign keys unchecked unless asked.
    "foreign_keys": "ON",
    # 32 MiB of pages for each connection, so that the upper levels of every index stay in memory.
    "cache_size": "-32768",
    # Sorts that do not fit an index stay off the disk.
    "temp_store": "MEMORY",
    # Off: an I/O error in mapped memory kills the process (SIGBUS), where read() returns an error.
    "mmap_size": "0",
    # Only the writer checkpoints (see with_checkpoints): two connections that write and checkpoint at the same
    # moment are what the WAL-reset race of SQLite before 3.51.3 needs.
    "wal_autocheckpoint": "0",
}


def connection_options() -> dict[str, Any]:
    """Django's OPTIONS for a SQLite database."""
    return {
        # BEGIN IMMEDIATE: a transaction that reads and then writes never fails for having begun too early.
        "transaction_mode": "IMMEDIATE",
        # Other processes write too (workers, manage.py): wait for them rather than fail.
        "timeout": BUSY_TIMEOUT_SECONDS,
        "init_command": ";".join(f"PRAGMA {name}={value}" for name, value in PRAGMAS.items()),
    }


def with_checkpoints(settings: dict[str, Any]) -> dict[str, Any]:
    """Django's settings of a database, for the one connection of a process that writes and so checkpoints."""
    options = settings["OPTIONS"]
    checkpoint = f"PRAGMA wal_autocheckpoint={WRITER_CHECKPOINT_PAGES}"
    return settings | {"OPTIONS": options | {"init_command": f"{options['init_command']};{checkpoint}"}}
