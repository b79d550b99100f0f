"""The doctor on PostgreSQL: a server that forgets or cuts off what takes its time, a role that may do too much."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pgbouncer import PgBouncer, find_pgbouncer
from tests.postgres_server import PostgresServer
from tests.running_service import RunningService

pytestmark = [pytest.mark.slow, pytest.mark.measured]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer(fsync="on") as running:
        with running.connect() as connection:
            connection.execute("CREATE ROLE plain LOGIN CREATEDB")
        yield running


@pytest.fixture
def service(server: PostgresServer, tmp_path: Path) -> RunningService:
    """Migrated, owned by a role without special rights, and not running."""
    dsn = server.create_database()
    name = dsn.rpartition("/")[2]
    with server.connect() as connection:
        connection.execute(f"ALTER DATABASE {name} OWNER TO plain".encode())
    stopped = RunningService(tmp_path, DB_DSN=f"postgresql://plain@127.0.0.1:{server.port}/{name}", DB_POOL_SIZE="8")
    stopped.prepare_database()
    return stopped


def findings(service: RunningService, **environment: str) -> list[dict[str, str]]:
    """What the doctor says of the database and the clock."""
    told = json.loads(service.manage("doctor", "--json", check=False, **environment).stdout)
    return [one for one in told["findings"] if one["check"] in ("database", "clock")]


def complaints(service: RunningService, **environment: str) -> list[str]:
    """Of that, what is more than good to know."""
    return [one["message"] for one in findings(service, **environment) if one["level"] in ("warning", "error")]


def test_database_is_well(service: RunningService) -> None:
    assert complaints(service) == []


def test_server_that_forgets_and_cuts_off_is_told(service: RunningService, server: PostgresServer) -> None:
    name = service.environment["DB_DSN"].rpartition("/")[2]
    with server.connect() as connection:
        for setting, value in {"synchronous_commit": "off", "statement_timeout": "30s"}.items():
            connection.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'".encode())
    told = [one for one in findings(service) if one["level"] != "ok"]
    assert [(one["level"], one["message"].split()[0]) for one in told] == [
        ("error", "synchronous_commit"),
        ("info", "statement_timeout"),
    ]


def test_more_connections_than_there_are_are_told(service: RunningService) -> None:
    [told] = complaints(service, WORKERS="40")
    assert told.startswith("320 connections")


@pytest.mark.skipif(find_pgbouncer() is None, reason="PgBouncer is not installed")
def test_more_connections_than_there_are_are_pgbouncers_own_matter(
    service: RunningService, server: PostgresServer
) -> None:
    with PgBouncer(server, user="plain") as pooler:
        dsn = pooler.dsn(service.environment["DB_DSN"])
        assert complaints(service, DB_DSN=dsn, DB_BEHIND_PGBOUNCER="true", WORKERS="40") == []


def test_superuser_is_told(service: RunningService, server: PostgresServer) -> None:
    dsn = server.dsn(service.environment["DB_DSN"].rpartition("/")[2])
    [told] = complaints(service, DB_DSN=dsn)
    assert "superuser" in told


def test_database_of_another_encoding_is_told(service: RunningService, server: PostgresServer) -> None:
    with server.connect() as connection:
        connection.execute(
            "CREATE DATABASE latin OWNER plain ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
        )
    told = complaints(service, DB_DSN=f"postgresql://plain@127.0.0.1:{server.port}/latin")
    assert "The database's encoding is not UTF8" in told


def test_server_that_is_away_is_told(service: RunningService, server: PostgresServer) -> None:
    [told] = complaints(service, DB_DSN=server.dsn("nowhere"))
    assert "out of reach" in told
    assert "nowhere" in told


def test_standby_is_told(tmp_path: Path) -> None:
    with PostgresServer(hot_standby="on") as standby:
        dsn = standby.create_database()
        standby.stop()
        (standby.data / "standby.signal").touch()
        standby.start()
        told = complaints(RunningService(tmp_path, DB_DSN=dsn))
    assert "The server is a standby, which takes no changes" in told


def test_database_without_trigrams_is_told(server: PostgresServer, tmp_path: Path) -> None:
    dsn = server.create_database()
    name = dsn.rpartition("/")[2]
    with server.connect(name) as connection:
        connection.execute("GRANT ALL ON SCHEMA public TO plain")
    service = RunningService(tmp_path, DB_DSN=f"postgresql://plain@127.0.0.1:{server.port}/{name}", DB_POOL_SIZE="8")
    service.manage("migrate", "--verbosity=0")
    [told] = complaints(service)
    assert "every row" in told
    assert "CREATE EXTENSION pg_trgm" in service.manage("build_search_index", check=False).stderr
    with server.connect(name) as connection:
        connection.execute("CREATE EXTENSION pg_trgm")
    service.manage("build_search_index")
    assert complaints(service) == []
