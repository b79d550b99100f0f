"""SQLite's options and their effects, and concurrent writes of several processes."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection

from core.database.pool import Database
from core.database.sqlite.options import connection_options, with_checkpoints
from tests.databases import IS_POSTGRES

pytestmark = pytest.mark.skipif(IS_POSTGRES, reason="SQLite's own")

type Run = Callable[[Callable[[Database], Any]], Any]

PROJECT = Path(__file__).resolve().parents[4]
# The values that PRAGMA returns: temp_store 2 is MEMORY, synchronous 2 is FULL.
EXPECTED = {
    "journal_mode": "wal",
    "synchronous": 2,
    "foreign_keys": 1,
    "cache_size": -32768,
    "temp_store": 2,
    "mmap_size": 0,
    "busy_timeout": 10_000,
}
PROCESSES, WRITES = 3, 200
WRITER = f"""
import asyncio, json, sys
import django
django.setup()
from django.contrib.auth.models import Group
from core.database.pool import Database

async def main():
    database = Database()
    await database.open()
    async def one(number):
        name = f"{{sys.argv[1]}} {{number}}"
        await database.write(lambda: Group.objects.create(name=name))
        await database.read(lambda: Group.objects.filter(name=name).get())
    print("ready", flush=True)
    sys.stdin.readline()
    results = await asyncio.gather(*[one(number) for number in range({WRITES})], return_exceptions=True)
    await database.close()
    print(json.dumps([repr(result) for result in results if result is not None]))

asyncio.run(main())
"""


def pragmas() -> dict[str, Any]:
    with connection.cursor() as cursor:
        names = [*EXPECTED, "wal_autocheckpoint"]
        return {name: cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in names}


def test_every_connection_has_the_pragmas(run: Run) -> None:
    async def test(database: Database) -> None:
        for found in await asyncio.gather(*[database.read(pragmas) for _ in range(8)]):
            assert found == EXPECTED | {"wal_autocheckpoint": 0}
        assert await database.write(pragmas) == EXPECTED | {"wal_autocheckpoint": 1000}

    run(test)


def test_pragmas_are_set_once_per_connection(run: Run) -> None:
    statements: list[str] = []

    def trace() -> None:
        connection.connection.set_trace_callback(statements.append)

    async def test(database: Database) -> None:
        await database.write(trace)
        for number in range(5):
            await database.write(lambda number=number: Group.objects.create(name=str(number)))  # type: ignore[misc]
        assert not [statement for statement in statements if "PRAGMA" in statement]
        assert len([statement for statement in statements if statement.startswith("INSERT")]) == 5

    run(test)


def test_writer_settings_add_checkpoints() -> None:
    settings = {"NAME": "some.db", "OPTIONS": connection_options()}
    found = with_checkpoints(settings)
    assert found["OPTIONS"]["init_command"].endswith("PRAGMA wal_autocheckpoint=1000")
    assert found["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert settings["OPTIONS"] == connection_options()


def test_wal_does_not_grow_without_bound(run: Run) -> None:
    """Readers run short transactions, and each delays a checkpoint while it lasts."""
    text = "x" * 100_000

    def write(number: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE IF NOT EXISTS ballast (id INTEGER PRIMARY KEY, text TEXT)")
            cursor.execute("INSERT OR REPLACE INTO ballast VALUES (%s, %s)", [number % 50, text])

    def clean_up() -> None:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE ballast")

    async def test(database: Database) -> None:
        sizes = []
        log = f"{connection.settings_dict['NAME']}-wal"
        for number in range(300):
            await asyncio.gather(database.write(lambda n=number: write(n)), database.read(Group.objects.count))  # type: ignore[misc]
            sizes.append(os.stat(log).st_size)  # noqa: PTH116
        await database.write(clean_up)
        # The test wrote 30 MB. 1,000 pages of 4 KiB plus one transaction are about 4.2 MB.
        assert 1_000_000 < max(sizes) < 8_000_000

    run(test)


@pytest.mark.slow
def test_several_processes_write_concurrently(tmp_path: Path) -> None:
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "agent_router.settings",
        "DB_DSN": f"sqlite:///{tmp_path}/app.db",
        "LOG_LEVEL": "ERROR",
    }
    subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity=0"], cwd=PROJECT, env=environment, check=True)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(number)],
            cwd=PROJECT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for number in range(PROCESSES)
    ]  # fmt: skip
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        said = []
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [process.communicate(timeout=60)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [json.loads(one) for one in said] == [[]] * PROCESSES
    count = "from django.contrib.auth.models import Group; print(Group.objects.count())"
    counted = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", count],
        cwd=PROJECT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(counted.stdout) == PROCESSES * WRITES
