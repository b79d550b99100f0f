"""Read replicas on real standbys: they serve reads, and callers notice no lag, failure or return."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import Group
from prometheus_client import REGISTRY

from core.database.compiled import compiled_insert
from core.database.dsn import parse_replica_dsns
from core.database.pool import Database
from tests.core.database.postgresql.conftest import run_with_database
from tests.core.database.postgresql.statements import ask, names
from tests.postgres_replica import PostgresReplica
from tests.postgres_server import PostgresServer, paused
from tests.running_service import RunningService

INSERT = compiled_insert(lambda: Group)

type Run = Callable[[Callable[[Database], Any]], Any]


@pytest.fixture(scope="module")
def primary() -> Iterator[PostgresServer]:
    with PostgresServer() as running:
        yield running


@pytest.fixture(scope="module")
def migrated(primary: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The template of the tests' databases."""
    dsn = primary.create_database()
    RunningService(tmp_path_factory.mktemp("migrated"), DB_DSN=dsn).prepare_database()
    return urlsplit(dsn).path[1:]


@pytest.fixture(scope="module")
def shared_replica(primary: PostgresServer, migrated: str) -> Iterator[PostgresReplica]:
    with PostgresReplica(primary) as running:
        yield running


@pytest.fixture
def replica(shared_replica: PostgresReplica) -> PostgresReplica:
    """Start the replica and resume its replay."""
    if shared_replica.process is None:
        shared_replica.start()
    shared_replica.resume_replay()
    return shared_replica


@pytest.fixture
def dsn(primary: PostgresServer, migrated: str) -> str:
    return primary.create_database(migrated)


@pytest.fixture
def run(use: Callable[..., None], dsn: str, replica: PostgresReplica, settings: Any) -> Run:
    """Use one replica."""
    use(dsn)
    settings.DB_POOL_SIZE = 4
    settings.DB_REPLICAS = entries(replica.twin(dsn))
    return run_with_database


def entries(*dsns: str) -> list[dict[str, Any]]:
    return parse_replica_dsns(",".join(dsns), Path(django_settings.BASE_DIR))


def port() -> int:
    return int(ask("SELECT inet_server_port()"))


async def until(is_true: Callable[[], Awaitable[bool]], seconds: float = 40) -> None:
    async with asyncio.timeout(seconds):
        while not await is_true():  # noqa: ASYNC110 - what other servers do sets no event here
            await asyncio.sleep(0.01)


async def until_used(database: Database, *servers: PostgresServer) -> None:
    """Wait until exactly these replicas serve reads."""
    ports = {server.port for server in servers}

    async def are_used() -> bool:
        return {await database.read_anywhere(port) for _ in range(4 * len(ports))} == ports

    await until(are_used)


async def write_and_read(database: Database, number: int) -> float:
    """Write a row and read it. Return how long the read took."""
    await database.write(lambda: INSERT.queue(id=number, name=f"{number}"))
    began = monotonic()
    assert f"{number}" in await database.read_anywhere(names)
    return monotonic() - began


def measured(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_replicas_take_turns_and_the_primary_takes_the_rest(
    run: Run, dsn: str, primary: PostgresServer, replica: PostgresReplica, settings: Any
) -> None:
    async def test(database: Database) -> None:
        await until_used(database, replica, another)
        assert database.are_replicas_in_use
        assert await database.read(port) == primary.port
        assert await database.write(port) == primary.port

    with PostgresReplica(primary) as another:
        settings.DB_REPLICAS = entries(replica.twin(dsn), another.twin(dsn))
        run(test)


def test_without_replicas_the_primary_takes_all_reads(run: Run, primary: PostgresServer, settings: Any) -> None:
    settings.DB_REPLICAS = []

    async def test(database: Database) -> None:
        assert await database.read_anywhere(port) == primary.port
        assert database.stats()["size"] == settings.DB_POOL_SIZE
        assert database.are_replicas_in_use

    run(test)


def test_read_sees_everything_committed_before(run: Run, replica: PostgresReplica) -> None:
    async def write_some(database: Database, start: int) -> None:
        for number in range(start, start + 50):
            await write_and_read(database, number)

    async def test(database: Database) -> None:
        await until_used(database, replica)
        server = f"127.0.0.1:{replica.port}"
        before = measured("db_replica_reads_total", server=server)
        await asyncio.gather(*(write_some(database, start) for start in range(0, 400, 50)))
        assert measured("db_replica_reads_total", server=server) > before

    run(test)


def test_lagging_replica_is_excluded_until_it_catches_up(
    run: Run, primary: PostgresServer, replica: PostgresReplica, caplog: pytest.LogCaptureFixture
) -> None:
    name = f"127.0.0.1:{replica.port}"

    async def test(database: Database) -> None:
        await until_used(database, replica)
        replica.pause_replay()
        for number in range(20):
            await write_and_read(database, number)
        assert await database.read_anywhere(port) == primary.port
        assert measured("db_replica_in_use", replica=name) == 0
        await until(lambda: _is(measured("db_replica_lag_seconds", replica=name) > 0.3))
        replica.resume_replay()
        await until_used(database, replica)
        assert measured("db_replica_in_use", replica=name) == 1
        await until(lambda: _is(measured("db_replica_lag_seconds", replica=name) == 0))

    left_out = measured("db_replica_left_out_total", replica=name, reason="lag")
    run(test)
    assert measured("db_replica_left_out_total", replica=name, reason="lag") == left_out + 1
    logged = [record.getMessage() for record in caplog.records if "replica" in record.getMessage()]
    assert [line.partition(name)[2] for line in logged[-2:]] == [
        " is left out: it is too far behind the primary",
        " is in use",
    ]


async def _is(fact: bool) -> bool:
    return fact


def test_reads_do_not_wait_long_for_a_lagging_replica(run: Run, replica: PostgresReplica) -> None:
    async def test(database: Database) -> None:
        await until_used(database, replica)
        replica.pause_replay()
        took = sorted([await write_and_read(database, number) for number in range(40)])
        # One read waited for the replica and then excluded it for all reads.
        assert took[-2] < 0.05 + took[len(took) // 2] * 5

    run(test)


def test_stopped_replica_is_excluded_and_comes_back(
    run: Run, primary: PostgresServer, replica: PostgresReplica
) -> None:
    async def test(database: Database) -> None:
        for _ in range(2):
            await until_used(database, replica)
            reading = asyncio.create_task(_read_all_the_time(database))
            await asyncio.to_thread(replica.kill)
            await until_used(database, primary)
            await asyncio.to_thread(replica.start)
            await until_used(database, replica)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading

    run(test)


async def _read_all_the_time(database: Database) -> None:
    while True:
        await asyncio.gather(*(database.read_anywhere(names) for _ in range(4)))


def test_hanging_replica_is_excluded_and_waiting_reads_are_served(
    run: Run, primary: PostgresServer, replica: PostgresReplica
) -> None:
    async def test(database: Database) -> None:
        await until_used(database, replica)
        with paused(replica):
            async with asyncio.timeout(10):
                found = await asyncio.gather(*(database.read_anywhere(port) for _ in range(20)))
            assert set(found) == {primary.port}
            assert not database.are_replicas_in_use
        await until_used(database, replica)

    run(test)


def test_job_that_fails_on_a_replica_runs_on_the_primary(
    run: Run, primary: PostgresServer, replica: PostgresReplica
) -> None:
    def divide() -> int:
        ask("SELECT 1 / CASE WHEN pg_is_in_recovery() THEN 0 ELSE 1 END")
        return port()

    async def test(database: Database) -> None:
        await until_used(database, replica)
        assert await database.read_anywhere(divide) == primary.port
        # The replica did nothing wrong.
        assert database.are_replicas_in_use
        assert await database.read_anywhere(port) == replica.port

    run(test)


def test_server_that_is_no_replica_is_never_used(
    run: Run, dsn: str, primary: PostgresServer, replica: PostgresReplica, settings: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    with PostgresServer() as stranger, PostgresReplica(stranger) as its_replica:
        settings.DB_REPLICAS = entries(dsn, stranger.dsn("postgres"), its_replica.dsn("postgres"))
        reasons = {
            f"127.0.0.1:{primary.port} is left out: it is no standby",
            f"127.0.0.1:{stranger.port} is left out: it is no standby",
            f"127.0.0.1:{its_replica.port} is left out: it is a standby of another server than DB_DSN's",
        }

        async def test(database: Database) -> None:
            await until(lambda: _is(reasons <= {one.getMessage().partition("replica ")[2] for one in caplog.records}))
            assert {await database.read_anywhere(port) for _ in range(10)} == {primary.port}

        run(test)


def test_failover_excludes_the_new_primary_and_stale_replicas(
    use: Callable[..., None], settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    reason = "it has not followed the primary's last failover yet"
    with PostgresServer() as old, PostgresReplica(old) as new, PostgresReplica(old) as left_behind:

        async def before(database: Database) -> None:
            await until_used(database, new, left_behind)
            await asyncio.to_thread(new.promote)
            await until_used(database, left_behind)
            assert not database.are_replicas_in_use

        async def after(database: Database) -> None:
            await until(lambda: _is(any(reason in record.getMessage() for record in caplog.records)))
            assert {await database.read_anywhere(port) for _ in range(10)} == {new.port}

        settings.DB_POOL_SIZE = 2
        use(old.dsn("postgres"))
        settings.DB_REPLICAS = entries(new.dsn("postgres"), left_behind.dsn("postgres"))
        run_with_database(before)
        use(new.dsn("postgres"))
        settings.DB_REPLICAS = entries(left_behind.dsn("postgres"))
        run_with_database(after)


def test_ordinary_role_may_run_the_probe_queries(
    run: Run, dsn: str, primary: PostgresServer, replica: PostgresReplica, use: Callable[..., None], settings: Any
) -> None:
    with primary.connect(urlsplit(dsn).path[1:]) as connection:
        connection.execute("CREATE ROLE ordinary LOGIN")
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO ordinary")

    async def test(database: Database) -> None:
        await until_used(database, replica)

    ordinary = dsn.replace("//app:", "//ordinary:")
    use(ordinary)
    settings.DB_REPLICAS = entries(replica.twin(ordinary))
    run_with_database(partial(test))
