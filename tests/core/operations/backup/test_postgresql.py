"""Backups of PostgreSQL: a dump of one snapshot, restored in one transaction, without the password in any argument."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from core.operations.backup import client_programs
from core.operations.backup.durable import sha256
from core.operations.backup.failures import BackupError
from core.operations.backup.folder import Backup, manifest_path, newest
from tests.databases import query
from tests.pgbouncer import PgBouncer, find_pgbouncer
from tests.postgres_server import PostgresServer
from tests.running_service import RunningService

COLUMNS = "INSERT INTO accounts_user (id, email, password, is_superuser, is_active, is_staff, created_at)"
# Logs its arguments, then runs the program.
SPY = """#!/bin/sh
tr '\\0' ' ' < /proc/$$/cmdline >> {log}
exec {program} "$@"
"""

pytestmark = [pytest.mark.slow, pytest.mark.measured]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as running:
        yield running


@pytest.fixture
def service(server: PostgresServer, tmp_path: Path) -> RunningService:
    """A migrated service with one user, not running: it runs commands."""
    stopped = RunningService(tmp_path, DB_DSN=server.create_database(), BACKUP_DIR=str(tmp_path / "backups"))
    stopped.prepare_database()
    stopped.query("DELETE FROM accounts_user")
    add_user(stopped, "before@example.org")
    return stopped


def add_user(service: RunningService, email: str) -> None:
    service.query(f"{COLUMNS} VALUES (gen_random_uuid(), ?, '', false, true, false, now())", email)


def emails(service: RunningService, schema: str = "public") -> set[str]:
    return {email for (email,) in service.query(f"SELECT email FROM {schema}.accounts_user")}


def back_up(service: RunningService) -> Backup:
    service.manage("backup")
    return newest(Path(service.environment["BACKUP_DIR"]))


def restore(service: RunningService, *arguments: str) -> tuple[int, str]:
    done = service.manage("restore", "latest", *arguments, check=False)
    return done.returncode, done.stdout + done.stderr


def test_backup_is_restored_and_the_old_tables_are_kept(service: RunningService) -> None:
    service.query("INSERT INTO cache_epoch VALUES (1, 'old', 'some')")
    backup = back_up(service)
    assert backup.manifest.engine == "postgresql"
    assert backup.manifest.rows["accounts_user"] == 1
    assert backup.data.stat().st_mode & 0o777 == 0o600
    add_user(service, "after@example.org")

    code, output = restore(service)
    assert code == 1
    assert "--force" in output
    assert len(emails(service)) == 2
    code, output = restore(service, "--force")
    assert code == 0, output
    assert emails(service) == {"before@example.org"}
    assert service.query("SELECT count(*) FROM cache_epoch") == [(0,)]
    indexes = "SELECT schemaname FROM pg_indexes WHERE indexname = 'item_search' AND schemaname = 'public'"
    assert service.query(indexes) == [("public",)], "rebuilt"
    [schema] = [word.rstrip(":") for word in output.split() if word.startswith("public_before_restore_")]
    assert emails(service, schema) == {"before@example.org", "after@example.org"}
    # The next backup does not contain the kept tables.
    assert back_up(service).manifest.rows["accounts_user"] == 1
    service.manage("verify", "--all")
    service.manage("migrate", "--check")


@pytest.mark.skipif(find_pgbouncer() is None, reason="PgBouncer is not installed")
def test_restore_leaves_no_settings_in_pgbouncers_connections(service: RunningService, server: PostgresServer) -> None:
    back_up(service)
    add_user(service, "after@example.org")
    with PgBouncer(server, pool_size=1) as pooler:
        dsn = pooler.dsn(service.environment["DB_DSN"])
        done = service.manage("restore", "latest", "--force", check=False, DB_DSN=dsn, DB_BEHIND_PGBOUNCER="true")
        assert done.returncode == 0, done.stderr
        assert query(dsn, "SELECT email FROM accounts_user") == [("before@example.org",)]


def test_restore_succeeds_without_search_index(service: RunningService) -> None:
    back_up(service)
    add_user(service, "after@example.org")
    service.query("CREATE SCHEMA elsewhere")
    service.query(
        """CREATE FUNCTION elsewhere.refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$
        BEGIN IF current_query() LIKE '%item_search%' THEN RAISE 'timeout'; END IF; END $$"""
    )
    service.query("CREATE EVENT TRIGGER refusal ON ddl_command_start EXECUTE FUNCTION elsewhere.refuse()")
    code, output = restore(service, "--force")
    assert code == 0, output
    assert emails(service) == {"before@example.org"}


def test_restore_to_an_empty_server_needs_no_force(service: RunningService, tmp_path: Path) -> None:
    backup = back_up(service)
    with PostgresServer() as other:
        elsewhere = RunningService(tmp_path, DB_DSN=other.create_database())
        output = elsewhere.manage("restore", str(backup.data)).stdout
        assert "kept" not in output
        assert emails(elsewhere) == {"before@example.org"}


def cut_and_sign(backup: Backup) -> None:
    """Truncate the dump, and correct checksum and size."""
    backup.data.write_bytes(backup.data.read_bytes()[:-4096])
    sign(backup, sha256=sha256(backup.data), size_bytes=backup.data.stat().st_size)


def claim_more_rows(backup: Backup) -> None:
    sign(backup, rows=backup.manifest.rows | {"accounts_user": 2})


def claim_more_tables(backup: Backup) -> None:
    sign(backup, rows=backup.manifest.rows | {"nowhere": 0})


def sign(backup: Backup, **values: object) -> None:
    path = manifest_path(backup.data)
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (cut_and_sign, "nothing was changed: pg_restore failed"),
        (claim_more_rows, "accounts_user does not have its 2 rows"),
        (claim_more_tables, "nowhere"),
        (lambda backup: sign(backup, migrations=["items.9999_later"]), "newer version"),
        (lambda backup: backup.data.write_bytes(b"x" * backup.manifest.size_bytes), "SHA-256"),
    ],
)
def test_damaged_backup_changes_nothing(service: RunningService, spoil: Callable[[Backup], None], message: str) -> None:
    backup = back_up(service)
    add_user(service, "after@example.org")
    spoil(backup)
    code, output = restore(service, "--force")
    assert code == 1
    assert "Nothing was restored" in output
    assert message in output
    assert emails(service) == {"before@example.org", "after@example.org"}
    assert service.query("SELECT count(*) FROM pg_namespace WHERE nspname LIKE '%before_restore%'") == [(0,)]


def test_incomplete_dump_is_rejected(service: RunningService) -> None:
    backup = back_up(service)
    claim_more_tables(backup)
    done = service.manage("verify", check=False)
    assert "lacks the data of nowhere" in done.stderr
    cut_and_sign(backup)
    assert "pg_restore failed" in service.manage("verify", check=False).stderr


def test_database_in_use_is_not_replaced(service: RunningService) -> None:
    back_up(service)
    dsn = service.environment["DB_DSN"] + "?application_name=agent-router"
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute("SELECT 1")
        code, output = restore(service, "--force")
    assert code == 1
    assert "is in use (1 connections)" in output


def test_no_argument_contains_the_password(service: RunningService, tmp_path: Path) -> None:
    spies, log = tmp_path / "spies", tmp_path / "log"
    spies.mkdir()
    for name in ("pg_dump", "pg_restore", "psql"):
        spy = spies / name
        spy.write_text(SPY.format(log=log, program=client_programs.program(name)))
        spy.chmod(0o755)
    path = f"{spies}:{os.environ['PATH']}"
    service.manage("backup", PATH=path)
    service.manage("restore", "latest", "--force", PATH=path)
    commands = log.read_text()
    assert all(name in commands for name in ("pg_dump", "pg_restore", "psql"))
    password = service.environment["DB_DSN"].split(":")[2].partition("@")[0]
    assert password
    assert password not in commands


def test_programs_are_found_in_debians_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(client_programs, "FOLDERS", f"{tmp_path}/*/bin")
    with pytest.raises(BackupError, match="postgresql-client"):
        client_programs.program("pg_dump")
    for version in ("9.6", "15", "unknown"):
        program = tmp_path / version / "bin" / "pg_dump"
        program.parent.mkdir(parents=True)
        program.touch(0o755)
    assert client_programs.program("pg_dump") == str(tmp_path / "15" / "bin" / "pg_dump")


def test_empty_database_is_not_backed_up(server: PostgresServer, tmp_path: Path) -> None:
    dsn = server.create_database()
    done = RunningService(tmp_path, DB_DSN=dsn).manage("backup", str(tmp_path / "backups"), check=False)
    assert "no migration was applied" in done.stderr
    assert query(dsn, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_unreachable_server_is_reported(server: PostgresServer, tmp_path: Path) -> None:
    gone = RunningService(tmp_path, DB_DSN=server.dsn("nowhere"), BACKUP_DIR=str(tmp_path / "backups"))
    done = gone.manage("backup", check=False)
    assert done.returncode == 1
    assert "could not be read" in done.stderr
    assert not list((tmp_path / "backups").glob("agent-router-*"))
