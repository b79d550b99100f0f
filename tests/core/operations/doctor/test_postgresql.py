"""The doctor on PostgreSQL: unsafe settings, too few connections, wrong roles, servers and encodings."""

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
    """A migrated service, not running, whose role has no special rights."""
    dsn = server.create_database()
    name = dsn.rpartition("/")[2]
    with server.connect() as connection:
        connection.execute(f"ALTER DATABASE {name} OWNER TO plain".encode())
    stopped = RunningService(tmp_path, DB_DSN=f"postgresql://plain@127.0.0.1:{server.port}/{name}", DB_POOL_SIZE="8")
    stopped.prepare_database()
    return stopped


def findings(service: RunningService, **environment: str) -> list[dict[str, str]]:
    """Return the doctor's findings about database and clock."""
    report = json.loads(service.manage("doctor", "--json", check=False, **environment).stdout)
    return [one for one in report["findings"] if one["check"] in ("database", "clock")]


def complaints(service: RunningService, **environment: str) -> list[str]:
    """Return the messages of warnings and errors."""
    return [one["message"] for one in findings(service, **environment) if one["level"] in ("warning", "error")]


def test_good_database_has_no_findings(service: RunningService) -> None:
    assert complaints(service) == []


def test_unsafe_commits_and_timeouts_are_reported(service: RunningService, server: PostgresServer) -> None:
    name = service.environment["DB_DSN"].rpartition("/")[2]
    with server.connect() as connection:
        for setting, value in {"synchronous_commit": "off", "statement_timeout": "30s"}.items():
            connection.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'".encode())
    found = [one for one in findings(service) if one["level"] != "ok"]
    assert [(one["level"], one["message"].split()[0]) for one in found] == [
        ("error", "synchronous_commit"),
        ("info", "statement_timeout"),
    ]


def test_too_many_connections_are_an_error(service: RunningService) -> None:
    [message] = complaints(service, WORKERS="40")
    assert message.startswith("320 connections")


@pytest.mark.skipif(find_pgbouncer() is None, reason="PgBouncer is not installed")
def test_number_of_connections_to_pgbouncer_is_not_limited(service: RunningService, server: PostgresServer) -> None:
    with PgBouncer(server, user="plain") as pooler:
        dsn = pooler.dsn(service.environment["DB_DSN"])
        assert complaints(service, DB_DSN=dsn, DB_BEHIND_PGBOUNCER="true", WORKERS="40") == []


def test_superuser_is_a_warning(service: RunningService, server: PostgresServer) -> None:
    dsn = server.dsn(service.environment["DB_DSN"].rpartition("/")[2])
    [message] = complaints(service, DB_DSN=dsn)
    assert "superuser" in message


def test_database_with_another_encoding_is_an_error(service: RunningService, server: PostgresServer) -> None:
    with server.connect() as connection:
        connection.execute(
            "CREATE DATABASE latin OWNER plain ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
        )
    messages = complaints(service, DB_DSN=f"postgresql://plain@127.0.0.1:{server.port}/latin")
    assert "The database's encoding is not UTF8" in messages


def test_unreachable_server_is_an_error(service: RunningService, server: PostgresServer) -> None:
    [message] = complaints(service, DB_DSN=server.dsn("nowhere"))
    assert "is unreachable" in message
    assert "nowhere" in message


def test_standby_is_an_error(tmp_path: Path) -> None:
    with PostgresServer(hot_standby="on") as standby:
        dsn = standby.create_database()
        standby.stop()
        (standby.data / "standby.signal").touch()
        standby.start()
        messages = complaints(RunningService(tmp_path, DB_DSN=dsn))
    assert "The server is a standby and read-only" in messages


def test_missing_trigram_extension_is_a_warning(server: PostgresServer, tmp_path: Path) -> None:
    dsn = server.create_database()
    name = dsn.rpartition("/")[2]
    with server.connect(name) as connection:
        connection.execute("GRANT ALL ON SCHEMA public TO plain")
    service = RunningService(tmp_path, DB_DSN=f"postgresql://plain@127.0.0.1:{server.port}/{name}", DB_POOL_SIZE="8")
    service.manage("migrate", "--verbosity=0")
    [message] = complaints(service)
    assert "every row" in message
    assert "CREATE EXTENSION pg_trgm" in service.manage("build_search_index", check=False).stderr
    with server.connect(name) as connection:
        connection.execute("CREATE EXTENSION pg_trgm")
    service.manage("build_search_index")
    assert complaints(service) == []
