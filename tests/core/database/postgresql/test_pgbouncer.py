"""PgBouncer in transaction mode: each transaction may run in another session."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import Group

from core.database.pool import Database
from core.http.problems import ServiceUnavailable
from tests.core.database.postgresql.conftest import run_with_database
from tests.core.database.postgresql.statements import FIND, INSERT, ask, execute, queue
from tests.pgbouncer import PgBouncer, find_pgbouncer
from tests.postgres_server import PostgresServer
from tests.running_service import RunningService

pytestmark = pytest.mark.skipif(find_pgbouncer() is None, reason="PgBouncer is not installed")


@pytest.fixture(scope="module")
def pooler(server: PostgresServer) -> Iterator[PgBouncer]:
    with PgBouncer(server) as running:
        yield running


@pytest.fixture
def run(use: Callable[..., None], pooler: PgBouncer, dsn: str) -> Callable[[Callable[[Database], Any]], Any]:
    use(pooler.dsn(dsn), is_behind_pgbouncer=True)
    return run_with_database


def test_jobs_run_on_any_server_connection(run: Any, settings: Any) -> None:
    settings.DB_POOL_SIZE = 6

    def find(name: str) -> list[str]:
        return [name for _, name in execute(FIND, name).fetchall()]

    def change(number: int) -> None:
        execute(FIND, "x")
        queue(INSERT, f"{number}")
        Group.objects.filter(name=f"{number}").update(name=f"number {number}")

    async def test(database: Database) -> None:
        for start in range(0, 60, 20):
            await asyncio.gather(*[database.write(partial(change, start + number)) for number in range(20)])
            found = await asyncio.gather(
                *[database.read(partial(find, f"number {number}")) for number in range(start + 20)]
            )
            assert found == [[f"number {number}"] for number in range(start + 20)]
        assert await database.read(lambda: len(list(Group.objects.iterator(chunk_size=7)))) == 60

    run(test)


def test_times_are_utc_in_any_server_time_zone(run: Any) -> None:
    async def test(database: Database) -> None:
        zones = await asyncio.gather(*[database.read(lambda: ask("SHOW TimeZone")) for _ in range(20)])
        assert set(zones) == {"UTC"}

    run(test)


def test_timeouts_apply_to_each_transaction_only(run: Any, dsn: str, settings: Any) -> None:
    settings.DB_LOCK_TIMEOUT = 1

    async def test(database: Database) -> None:
        await database.write(lambda: queue(INSERT, "a"))
        with psycopg.connect(dsn) as other:
            other.execute("SELECT 1 FROM auth_group FOR UPDATE")
            with pytest.raises(ServiceUnavailable):
                await database.write(lambda: Group.objects.update(name="b"))
        assert await database.write(lambda: ask("SHOW lock_timeout")) == "1s"
        assert await database.read(lambda: ask("SHOW lock_timeout")) == "0"

    run(test)


def test_service_runs_behind_pgbouncer(start: Callable[..., RunningService], pooler: PgBouncer, dsn: str) -> None:
    service = start(workers=2, DB_DSN=pooler.dsn(dsn), DB_BEHIND_PGBOUNCER="true")
    with closing(service.user()) as me:
        for number in range(30):
            made = me.post("/v1/items/", json={"name": f"{number}"})
            assert made.status_code == 201
            changed = me.patch(f"/v1/items/{made.json()['id']}", json={"status": "archived"})
            assert changed.json()["version"] == 2
            found = me.get("/v1/items/", params={"name": f"{number}", "status": "archived", "total": "true"})
            assert found.json()["total"] == 1
    assert not [line for line in service.log_lines() if line["level"] in ("WARNING", "ERROR")]
