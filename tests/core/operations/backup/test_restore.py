"""Restoring on SQLite: all or nothing, never over a service that runs, and what was there is kept."""

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
    """A backup that knows of one user; the database knows of another besides."""
    User.objects.create(email="before@example.org")
    CacheEpoch.objects.create(id=1, token="of then", redis_run_id="some")
    made = create_backup(folder)
    User.objects.create(email="after@example.org")
    return made


def emails() -> set[str]:
    return set(User.objects.values_list("email", flat=True))


@contextmanager
def open_elsewhere(database: Path, statement: str) -> Iterator[None]:
    """Another process has the database open."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_OPEN, str(database), statement], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        yield
        process.kill()


def untouched(database: Path) -> bool:
    return emails() == {"before@example.org", "after@example.org"} and not list(database.parent.glob("*.restoring*"))


def test_database_that_is_there_is_touched_only_when_forced(database: Path, backup: Backup) -> None:
    with pytest.raises(BackupError, match="--force"):
        restore_backup(backup)
    assert untouched(database)
    old = restore_backup(backup, force=True)
    assert emails() == {"before@example.org"}
    with closing(sqlite3.connect(old)) as kept:
        assert kept.execute("SELECT count(*) FROM accounts_user").fetchone() == (2,)


def test_restored_database_is_private_and_as_it_is_used(database: Path, backup: Backup) -> None:
    restore_backup(backup, force=True)
    assert stat.S_IMODE(database.stat().st_mode) == 0o600
    with connection.cursor() as cursor:
        assert cursor.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert cursor.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_lost_database_comes_back(database: Path, backup: Backup) -> None:
    connections.close_all()
    for file in database.parent.iterdir():
        file.unlink()
    assert restore_backup(backup) == ""
    assert emails() == {"before@example.org"}


def test_empty_file_is_no_database(database: Path, backup: Backup) -> None:
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
def test_database_in_use_is_left_alone(database: Path, backup: Backup, statement: str) -> None:
    with open_elsewhere(database, statement), pytest.raises(BackupError, match="is in use"):
        restore_backup(backup, force=True)
    assert untouched(database)


def test_log_of_the_old_database_moves_with_it(database: Path, backup: Backup) -> None:
    """After kill -9 the last commits are in the -wal file alone: they belong to the old file, and only to it."""
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


def test_log_without_its_database_stops_it(database: Path, backup: Backup) -> None:
    connections.close_all()
    database.rename(database.with_name("moved.db"))
    database.with_name("app.db-wal").write_bytes(b"of another database")
    with pytest.raises(BackupError, match="left of another database"):
        restore_backup(backup)
    assert not database.exists()


@pytest.mark.parametrize("message", [message for message in FAULTS if "there is no" not in message])
def test_backup_that_is_no_good_changes_nothing(database: Path, backup: Backup, message: str) -> None:
    FAULTS[message](backup)
    with pytest.raises(BackupError, match=message):
        restore_backup(Backup.at(backup.data), force=True)
    assert untouched(database)


def test_backup_of_the_other_database_is_refused(
    database: Path, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "vendor", "postgresql")
    with pytest.raises(BackupError, match="is one of sqlite, and DB_DSN names a database of postgresql"):
        restore_backup(backup, force=True)


def test_disk_that_is_full_changes_nothing(database: Path, backup: Backup, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(source: Path, target: Path) -> str:
        target.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(restore, "copy_with_checksum", fail)
    with pytest.raises(BackupError, match="No space left"):
        restore_backup(backup, force=True)
    assert untouched(database)


def test_cache_of_the_time_after_the_backup_counts_for_nothing(database: Path, backup: Backup) -> None:
    assert backup.manifest.rows["cache_epoch"] == 1
    restore_backup(backup, force=True)
    assert not CacheEpoch.objects.exists()


def test_command_restores_the_latest(
    database: Path, backup: Backup, folder: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.BACKUP_DIR = str(folder)
    latest = create_backup(folder)
    call_command("restore", "latest", force=True)
    said = capsys.readouterr().out
    assert f"{latest.data}: restored, the state of {latest.manifest.created_at}" in said
    assert "The old data is kept as" in said
    assert emails() == {"before@example.org", "after@example.org"}
    call_command("restore", str(backup.data), force=True)
    assert emails() == {"before@example.org"}


def test_command_says_why_it_did_nothing(database: Path, backup: Backup, settings: Settings) -> None:
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
    assert untouched(database)
