"""Restoring on SQLite changes everything or nothing, refuses a database in use, and keeps the old database."""

import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections
from pytest_django import Settings

from core.auth.models import User
from core.models import CacheEpoch
from core.operations.backup import restore
from core.operations.backup.create import create_backup
from core.operations.backup.failures import BackupError
from core.operations.backup.folder import Backup
from core.operations.backup.restore import restore_backup
from tests.core.operations.backup.test_verify import FAULTS, come_from_the_future, flip_a_bit

HOLD_OPEN = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], autocommit=True)
database.execute(sys.argv[2])
print("open", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def backup(database: Path, folder: Path) -> Backup:
    """A backup with one user; the database has another user since."""
    User.objects.create(email="before@example.org")
    CacheEpoch.objects.create(id=1, token="old", redis_run_id="some")
    made = create_backup(folder)
    User.objects.create(email="after@example.org")
    return made


def emails() -> set[str]:
    return set(User.objects.values_list("email", flat=True))


@contextmanager
def open_elsewhere(database: Path, statement: str) -> Iterator[None]:
    """Open the database in another process."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_OPEN, str(database), statement], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        yield
        process.kill()


def is_unchanged(database: Path) -> bool:
    return emails() == {"before@example.org", "after@example.org"} and not list(database.parent.glob("*.restoring*"))


def test_existing_database_is_replaced_only_with_force(database: Path, backup: Backup) -> None:
    with pytest.raises(BackupError, match="--force"):
        restore_backup(backup)
    assert is_unchanged(database)
    old = restore_backup(backup, force=True)
    assert emails() == {"before@example.org"}
    with closing(sqlite3.connect(old)) as kept:
        assert kept.execute("SELECT count(*) FROM accounts_user").fetchone() == (2,)


def test_restored_database_is_private_intact_and_in_wal_mode(database: Path, backup: Backup) -> None:
    restore_backup(backup, force=True)
    assert stat.S_IMODE(database.stat().st_mode) == 0o600
    with connection.cursor() as cursor:
        assert cursor.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert cursor.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_lost_database_is_restored(database: Path, backup: Backup) -> None:
    connections.close_all()
    for file in database.parent.iterdir():
        file.unlink()
    assert restore_backup(backup) == ""
    assert emails() == {"before@example.org"}


def test_empty_file_counts_as_no_database(database: Path, backup: Backup) -> None:
    connections.close_all()
    database.write_bytes(b"")
    assert restore_backup(backup) == ""
    assert emails() == {"before@example.org"}


def test_damaged_database_is_replaced_and_kept(database: Path, backup: Backup) -> None:
    connections.close_all()
    database.write_bytes(b"\xff" * 8192)
    old = Path(restore_backup(backup, force=True))
    assert old.read_bytes() == b"\xff" * 8192
    assert emails() == {"before@example.org"}


@pytest.mark.parametrize("statement", ["SELECT count(*) FROM item", "BEGIN IMMEDIATE"])
def test_database_in_use_is_not_replaced(database: Path, backup: Backup, statement: str) -> None:
    with open_elsewhere(database, statement), pytest.raises(BackupError, match="is in use"):
        restore_backup(backup, force=True)
    assert is_unchanged(database)


def test_wal_file_of_the_old_database_moves_with_it(database: Path, backup: Backup) -> None:
    """After kill -9, the -wal file holds the last commits of the old database."""
    connections.close_all()
    with open_elsewhere(database, "INSERT INTO django_session VALUES ('last', '', '2026-01-01')"):
        pass
    assert database.with_name("app.db-wal").stat().st_size > 0
    old = restore_backup(backup, force=True)
    assert {file.name for file in database.parent.iterdir()} >= {Path(old).name + "-wal"}
    assert not database.with_name("app.db-wal").exists()
    assert emails() == {"before@example.org"}
    with closing(sqlite3.connect(old)) as kept:
        assert kept.execute("SELECT count(*) FROM django_session").fetchone() == (1,)


def test_wal_file_of_another_database_prevents_the_restore(database: Path, backup: Backup) -> None:
    connections.close_all()
    database.rename(database.with_name("moved.db"))
    database.with_name("app.db-wal").write_bytes(b"of another database")
    with pytest.raises(BackupError, match="belongs to another database"):
        restore_backup(backup)
    assert not database.exists()


@pytest.mark.parametrize("message", [message for message in FAULTS if "there is no" not in message])
def test_damaged_backup_changes_nothing(database: Path, backup: Backup, message: str) -> None:
    FAULTS[message](backup)
    with pytest.raises(BackupError, match=message):
        restore_backup(Backup.at(backup.data), force=True)
    assert is_unchanged(database)


def test_backup_of_another_engine_is_refused(database: Path, backup: Backup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "vendor", "postgresql")
    with pytest.raises(BackupError, match="is for sqlite, but DB_DSN names a postgresql database"):
        restore_backup(backup, force=True)


def test_full_disk_changes_nothing(database: Path, backup: Backup, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(source: Path, target: Path) -> str:
        target.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(restore, "copy_with_checksum", fail)
    with pytest.raises(BackupError, match="No space left"):
        restore_backup(backup, force=True)
    assert is_unchanged(database)


def test_cache_entries_since_the_backup_are_ignored(database: Path, backup: Backup) -> None:
    assert backup.manifest.rows["cache_epoch"] == 1
    restore_backup(backup, force=True)
    assert not CacheEpoch.objects.exists()


def test_command_restores_the_latest_backup(
    database: Path, backup: Backup, folder: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.BACKUP_DIR = str(folder)
    latest = create_backup(folder)
    call_command("restore", "latest", force=True)
    output = capsys.readouterr().out
    assert f"{latest.data}: restored, with the state of {latest.manifest.created_at}" in output
    assert "The old data is kept as" in output
    assert emails() == {"before@example.org", "after@example.org"}
    call_command("restore", str(backup.data), force=True)
    assert emails() == {"before@example.org"}


def test_command_reports_why_nothing_was_restored(database: Path, backup: Backup, settings: Settings) -> None:
    settings.BACKUP_DIR = ""
    with pytest.raises(CommandError, match="set BACKUP_DIR"):
        call_command("restore", "latest")
    with pytest.raises(CommandError, match=r"Nothing was restored: .* exists"):
        call_command("restore", str(backup.data))
    flip_a_bit(backup)
    with pytest.raises(CommandError, match="Nothing was restored"):
        call_command("restore", str(backup.data), force=True)
    come_from_the_future(backup)
    with pytest.raises(CommandError, match="Restore it with that version"):
        call_command("restore", str(backup.data), force=True)
    assert is_unchanged(database)
