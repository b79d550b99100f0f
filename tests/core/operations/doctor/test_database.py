"""The doctor on SQLite: damaged, locked, unmigrated and badly placed files, and backups."""

import gc
import os
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection, connections
from django.db.migrations.recorder import MigrationRecorder
from pytest_django import Settings

from core.operations.backup.create import create_backup
from core.operations.backup.models import LastBackup
from core.operations.doctor import backups, disk, sqlite_file
from core.operations.doctor import database as doctor
from core.operations.doctor.examination import examine
from core.operations.doctor.findings import Level, ok
from core.values import now
from tests.core.operations.doctor.findings_of import complaints, the_one

as_another_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that the disk has room."""
    monkeypatch.setattr(disk, "room", lambda *_: [ok("room")])


@pytest.mark.usefixtures("roomy")
def test_good_database_has_no_findings_and_stays_unchanged(database: Path) -> None:
    assert complaints(doctor.check) == []
    messages = [finding.message for finding in doctor.check()]
    assert "The database is writable" in messages
    assert "All migrations are applied" in messages
    assert connection.cursor().execute("SELECT count(*) FROM idempotency_record").fetchone() == (0,)


def test_missing_database_is_reported_and_not_created(database: Path) -> None:
    connections.close_all()
    file = database.with_name("another.db")
    connection.settings_dict["NAME"] = str(file)
    assert "does not exist" in the_one(doctor.check, Level.ERROR).message
    examine()
    assert not file.exists()


@pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")
def test_file_that_is_no_database_is_an_error(database: Path) -> None:
    connections.close_all()
    database.write_bytes(b"not a database, though long enough to be taken for one. " * 100)
    assert "not a database" in the_one(doctor.check, Level.ERROR).message
    # Django does not close a connection whose first PRAGMA fails.
    gc.collect()


@pytest.mark.usefixtures("roomy")
@pytest.mark.parametrize("table", ["django_migrations", "item"])
def test_damage_is_an_error(database: Path, table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [page] = cursor.execute("SELECT rootpage FROM sqlite_schema WHERE name = %s", [table]).fetchone()
    connections.close_all()
    with database.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    found = the_one(doctor.check, Level.ERROR)
    assert "damaged" in found.message or "malformed" in found.message
    assert "docs/runbook.md" in found.remedy


@pytest.mark.usefixtures("roomy")
def test_dangling_reference_is_an_error(database: Path) -> None:
    connection.cursor().execute("PRAGMA foreign_keys=OFF")
    connection.cursor().execute("INSERT INTO auth_group_permissions VALUES (1, 4711, 4712)")
    connection.cursor().execute("PRAGMA foreign_keys=ON")
    assert "a row of auth_group_permissions refers to a missing row" in the_one(doctor.check, Level.ERROR).message


@pytest.mark.usefixtures("roomy")
def test_pending_migrations_are_an_error(database: Path) -> None:
    MigrationRecorder(connection).migration_qs.filter(app__in=["items", "backup", "sessions"]).delete()
    found = the_one(doctor.check, Level.ERROR)
    assert "Migrations are not applied" in found.message
    assert "migrate" in found.remedy


@pytest.mark.usefixtures("roomy")
def test_migrations_of_a_newer_version_are_reported(database: Path) -> None:
    MigrationRecorder(connection).migration_qs.create(app="items", name="9999_later", applied=now())
    infos = [finding.message for finding in doctor.check() if finding.level == Level.INFO]
    assert any("items.9999_later" in message for message in infos)


@pytest.mark.usefixtures("roomy")
def test_locked_database_is_an_error(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.1)
    with closing(sqlite3.connect(database, autocommit=True)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "not writable: database is locked" in the_one(doctor.check, Level.ERROR).message
        other.execute("ROLLBACK")


@pytest.mark.usefixtures("roomy")
def test_wrong_connection_settings_are_an_error(database: Path) -> None:
    connection.cursor().execute("PRAGMA synchronous=OFF")
    assert "synchronous is 0 instead of FULL" in the_one(doctor.check, Level.ERROR).message


@pytest.mark.usefixtures("roomy")
def test_integrity_check_of_a_large_file_times_out(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 50000) "
            "INSERT INTO django_session SELECT 'key' || x, '', '2026-01-01' FROM n"
        )
    monkeypatch.setattr(sqlite_file, "QUICK_CHECK_SECONDS", 0.0)
    infos = [finding.message for finding in doctor.check() if finding.level == Level.INFO]
    assert any("Checking the large file takes over" in message for message in infos)
    monkeypatch.setattr(sqlite_file, "QUICK_CHECK_SECONDS", 60.0)
    assert complaints(doctor.check) == []


@pytest.mark.usefixtures("roomy")
def test_old_library_is_a_warning_only_with_several_workers(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 40, 1))
    monkeypatch.setenv("WORKERS", "1")
    assert "WAL reset" in the_one(doctor.check, Level.INFO).message
    monkeypatch.setenv("WORKERS", "2")
    assert "WAL reset" in the_one(doctor.check, Level.WARNING).message
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 3))
    assert complaints(doctor.check) == []


@pytest.mark.usefixtures("roomy")
def test_bad_location_large_wal_and_readable_file_are_reported(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "network_type", lambda _: "nfs4")
    assert "network file system (nfs4)" in the_one(doctor.check, Level.ERROR).message
    monkeypatch.setattr(disk, "network_type", lambda _: "")
    monkeypatch.setattr(sqlite_file, "LARGE_WAL_BYTES", -1)
    assert "has grown to" in the_one(doctor.check, Level.WARNING).message
    monkeypatch.setattr(sqlite_file, "LARGE_WAL_BYTES", 2**40)
    database.chmod(0o644)
    database.parent.chmod(0o755)
    assert "All users of this machine can read" in the_one(doctor.check, Level.WARNING).message


@as_another_user
@pytest.mark.usefixtures("roomy")
def test_read_only_folder_is_an_error(database: Path) -> None:
    connection.ensure_connection()
    database.parent.chmod(0o500)
    try:
        errors = [finding.message for finding in doctor.check() if finding.level == Level.ERROR]
    finally:
        database.parent.chmod(0o700)
    assert any("is not writable" in message for message in errors)


@pytest.mark.usefixtures("roomy")
def test_missing_and_old_backups_are_reported(database: Path, settings: Settings) -> None:
    folder = database.parent / "backups"
    settings.IS_PRODUCTION = True
    assert "manage.py backup was never run" in the_one(backups.check, Level.WARNING).message
    settings.BACKUP_DIR = str(folder)
    create_backup(folder)
    assert complaints(backups.check) == []
    assert "on the same disk as the database" in the_one(backups.check, Level.INFO).message
    LastBackup.objects.update(created_at=now() - timedelta(hours=50))
    assert "is 50.0 hours old" in the_one(backups.check, Level.WARNING).message
    settings.IS_PRODUCTION = False
    assert complaints(backups.check) == []


def test_backup_folder_that_cannot_be_created_is_an_error(database: Path, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings.BACKUP_DIR = str(tmp_path / "file" / "backups")
    assert "BACKUP_DIR is not writable" in the_one(backups.check, Level.ERROR).message


def test_missing_backup_table_is_left_to_the_migrations_check(database: Path) -> None:
    connection.cursor().execute("DROP TABLE last_backup")
    assert list(backups.check()) == []


@pytest.mark.usefixtures("roomy", "database")
def test_missing_search_index_is_a_warning() -> None:
    assert "Searches in item use an index" in [finding.message for finding in doctor.check()]
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER item_search_update")
    found = the_one(doctor.check, Level.WARNING)
    assert "every row" in found.message
    assert "build_search_index" in found.remedy
    call_command("build_search_index", verbosity=0)
    assert complaints(doctor.check) == []
