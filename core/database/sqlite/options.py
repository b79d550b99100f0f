"""The options of each SQLite connection."""

from typing import Any

BUSY_TIMEOUT_SECONDS = 10
WRITER_CHECKPOINT_PAGES = 1000

PRAGMAS = {
    # Readers do not block the writer, and the writer does not block readers.
    "journal_mode": "WAL",
    # An acknowledged commit survives a power failure. NORMAL lost a third of them in a test that cut the power.
    "synchronous": "FULL",
    # SQLite checks foreign keys only on request.
    "foreign_keys": "ON",
    # 32 MiB of pages per connection, so that the upper levels of every index stay in memory.
    "cache_size": "-32768",
    # Sorts without an index stay off the disk.
    "temp_store": "MEMORY",
    # Off: an I/O error in mapped memory kills the process (SIGBUS); read() returns an error.
    "mmap_size": "0",
    # Only the writer checkpoints (see with_checkpoints). Two connections that write and checkpoint at the same moment
    # could trigger the WAL-reset race of SQLite before 3.51.3.
    "wal_autocheckpoint": "0",
}


def connection_options() -> dict[str, Any]:
    return {
        # BEGIN IMMEDIATE takes the write lock first, so a transaction that reads and then writes cannot fail.
        "transaction_mode": "IMMEDIATE",
        # Wait for other processes that write (workers, manage.py).
        "timeout": BUSY_TIMEOUT_SECONDS,
        "init_command": ";".join(f"PRAGMA {name}={value}" for name, value in PRAGMAS.items()),
    }


def with_checkpoints(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the DATABASES entry for the writer's connection, the only connection of a process that checkpoints."""
    options = settings["OPTIONS"]
    checkpoint = f"PRAGMA wal_autocheckpoint={WRITER_CHECKPOINT_PAGES}"
    return settings | {"OPTIONS": options | {"init_command": f"{options['init_command']};{checkpoint}"}}
