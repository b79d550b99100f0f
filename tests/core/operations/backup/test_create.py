"""A backup of SQLite is complete, private and consistent while others write, or it does not exist."""

import json
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import Settings

from core.operations.backup import sqlite
from core.operations.backup.create import create_backup
from core.operations.backup.failures import BackupError
from core.operations.backup.folder import only_one
from core.operations.backup.manifest import Contents
from core.operations.backup.models import LastBackup
from core.version import VERSION


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir() if file.name != ".lock"}


def add_session(count: int = 1) -> None:
    with connection.cursor() as cursor:
        for _ in range(count):
            cursor.execute("INSERT INTO django_session VALUES (hex(randomblob(16)), '', '2026-01-01')")


def test_backup_is_one_private_file_and_a_manifest(database: Path, folder: Path) -> None:
    add_session(3)
    backup = create_backup(folder)
    assert names(folder) == {backup.data.name, backup.data.name + ".json"}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert all(stat.S_IMODE((folder / name).stat().st_mode) == 0o600 for name in names(folder))
    manifest = json.loads((folder / (backup.data.name + ".json")).read_text())
    assert manifest["service_version"] == VERSION
    assert manifest["engine"] == "sqlite"
    assert manifest["size_bytes"] == backup.data.stat().st_size
    assert manifest["rows"]["django_session"] == 3
    assert "items.0001_initial" in manifest["migrations"]
    with closing(sqlite3.connect(backup.data)) as copy:
        assert copy.execute("SELECT count(*) FROM django_session").fetchone() == (3,)
        assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_rows_in_the_wal_file_are_backed_up(database: Path, folder: Path) -> None:
    connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    add_session()
    assert database.with_name("app.db-wal").stat().st_size > 0
    assert create_backup(folder).manifest.rows["django_session"] == 1


def test_database_records_its_last_backup(database: Path, folder: Path) -> None:
    create_backup(folder)
    second = create_backup(folder)
    last = LastBackup.objects.get()
    assert (last.file, last.size_bytes) == (second.manifest.file, second.manifest.size_bytes)
    assert last.created_at.isoformat() == second.manifest.created_at.replace("Z", "+00:00")


def test_unmigrated_database_is_backed_up(database: Path, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    connection.cursor().execute("DROP TABLE last_backup")
    assert create_backup(folder).data.exists()
    assert "the metrics will not show it" in caplog.text


def test_backup_during_writes_is_consistent(database: Path, folder: Path) -> None:
    """Each transaction adds a row to both tables, so each backup must hold equal numbers of rows."""
    with closing(sqlite3.connect(database)) as setup:
        setup.executescript("CREATE TABLE one (n INTEGER PRIMARY KEY); CREATE TABLE two (n INTEGER PRIMARY KEY)")
    stop, has_begun = threading.Event(), threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(database, timeout=10, autocommit=True)) as live:
            while not stop.is_set():
                live.executescript(
                    "BEGIN IMMEDIATE; INSERT INTO one VALUES (NULL); INSERT INTO two VALUES (NULL); COMMIT"
                )
                has_begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert has_begun.wait(10)
        counts = []
        for _ in range(5):
            rows = create_backup(folder).manifest.rows
            assert rows["one"] == rows["two"]
            counts.append(rows["one"])
    finally:
        stop.set()
        writer.join()
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_backups_within_a_second_do_not_overwrite_each_other(database: Path, folder: Path) -> None:
    assert len({create_backup(folder).data for _ in range(3)}) == 3


def test_damaged_database_is_not_backed_up(database: Path, folder: Path) -> None:
    add_session(500)
    connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    content = bytearray(database.read_bytes())
    for page in range(5 * 4096, len(content), 4096):
        content[page : page + 64] = b"\xff" * 64
    database.write_bytes(content)
    with pytest.raises(BackupError, match=r"is damaged|could not be copied"):
        create_backup(folder)
    assert names(folder) == set()


def test_database_with_a_dangling_reference_is_not_backed_up(database: Path, folder: Path) -> None:
    connection.cursor().execute("PRAGMA foreign_keys=OFF")
    connection.cursor().execute("INSERT INTO auth_group_permissions VALUES (1, 4711, 4712)")
    with pytest.raises(BackupError, match="refers to a missing row of auth_"):
        create_backup(folder)
    assert names(folder) == set()


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), BackupError("no space left")])
def test_failed_backup_leaves_no_files(
    database: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def fail(file: Path) -> Contents:
        raise fault

    monkeypatch.setattr(sqlite, "inspect", fail)
    with pytest.raises(BackupError, match=r"(?i)no space left"):
        create_backup(folder)
    assert names(folder) == set()
    assert not LastBackup.objects.exists()


def test_missing_database_is_neither_backed_up_nor_created(database: Path, folder: Path) -> None:
    connection.close()
    database.unlink()
    with pytest.raises(BackupError, match="there is no database"):
        create_backup(folder)
    assert not database.exists()


def test_database_of_another_program_is_not_backed_up(database: Path, folder: Path) -> None:
    connection.cursor().execute("DROP TABLE django_migrations")
    with pytest.raises(BackupError, match="does not belong to this service"):
        create_backup(folder)


def test_concurrent_backup_is_refused(database: Path, folder: Path) -> None:
    with only_one(folder), pytest.raises(BackupError, match="another backup"):
        create_backup(folder)


def test_files_of_an_interrupted_backup_are_deleted(database: Path, folder: Path) -> None:
    folder.mkdir()
    for suffix in (".partial", ".partial-journal", ".partial.json"):
        (folder / f"agent-router-20260101T000000Z.sqlite3{suffix}").touch()
    (folder / "somebody's.partial").touch()
    backup = create_backup(folder)
    assert names(folder) == {backup.data.name, backup.data.name + ".json", "somebody's.partial"}


def test_folder_that_cannot_be_created_is_reported(database: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BackupError, match="is not writable"):
        create_backup(tmp_path / "file" / "backups")


def test_command_keeps_the_given_number_of_backups(
    database: Path, folder: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.BACKUP_DIR = str(folder)
    folder.mkdir()
    (folder / "agent-router-20250101T000000Z.sqlite3").touch()  # unfinished, so not deleted
    for _ in range(4):
        call_command("backup", keep=2)
    assert len(names(folder)) == 1 + 2 * 2
    output = capsys.readouterr().out
    assert output.count("checked") == 4
    assert output.count("deleted") == 2
    assert LastBackup.objects.get().file in names(folder)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--keep", "0"], "at least 1"),
        ([], "set BACKUP_DIR"),
        (["/dev/null/nowhere"], "The backup failed: .* is not writable"),
    ],
)
def test_command_reports_the_error(database: Path, settings: Settings, arguments: list[str], message: str) -> None:
    settings.BACKUP_DIR = ""
    with pytest.raises(CommandError, match=message):
        call_command("backup", *arguments)


def test_damaged_copy_is_no_backup(database: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_garbage(source: Path, target: Path) -> None:
        target.write_bytes(b"this is not a database, though long enough to be taken for one" * 100)

    monkeypatch.setattr(sqlite, "copy_online", write_garbage)
    with pytest.raises(BackupError, match="is damaged"):
        create_backup(folder)
    assert names(folder) == set()
