"""`verify` finds damaged and changed backups, and changes nothing."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from core.operations.backup.create import create_backup
from core.operations.backup.durable import sha256
from core.operations.backup.failures import BackupError
from core.operations.backup.folder import Backup, manifest_path, newest
from core.operations.backup.verify import verify_backup


@pytest.fixture
def backup(database: Path, folder: Path) -> Backup:
    return create_backup(folder)


def change_manifest(backup: Backup, **values: Any) -> None:
    path = manifest_path(backup.data)
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def flip_a_bit(backup: Backup) -> None:
    content = bytearray(backup.data.read_bytes())
    content[len(content) // 2] ^= 1
    backup.data.write_bytes(content)


def cut_off(backup: Backup) -> None:
    with backup.data.open("r+b") as file:
        file.truncate(backup.manifest.size_bytes - 1)


def delete_a_row(backup: Backup) -> None:
    """Delete a row, and correct the checksum."""
    with closing(sqlite3.connect(backup.data)) as copy:
        copy.execute("DELETE FROM auth_permission WHERE id = (SELECT max(id) FROM auth_permission)")
        copy.commit()
    change_manifest(backup, sha256=sha256(backup.data), size_bytes=backup.data.stat().st_size)


def forget_a_migration(backup: Backup) -> None:
    change_manifest(backup, migrations=backup.manifest.migrations[:-1])


def come_from_the_future(backup: Backup) -> None:
    with closing(sqlite3.connect(backup.data)) as copy:
        copy.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('items', '9999_later', '2030-01-01')")
        copy.commit()
    rows = backup.manifest.rows | {"django_migrations": backup.manifest.rows["django_migrations"] + 1}
    migrations = [*backup.manifest.migrations, "items.9999_later"]
    size_bytes = backup.data.stat().st_size
    change_manifest(backup, sha256=sha256(backup.data), size_bytes=size_bytes, rows=rows, migrations=migrations)


FAULTS: dict[str, Callable[[Backup], None]] = {
    "its SHA-256 differs": flip_a_bit,
    "bytes; its manifest says": cut_off,
    "other rows than its manifest: auth_permission": delete_a_row,
    "other migrations": forget_a_migration,
    "a newer version of the service.*items.9999_later": come_from_the_future,
    "has a format": lambda backup: change_manifest(backup, format=2),
    "cannot be read as a manifest": lambda backup: change_manifest(backup, surprise=1),
    "there is no manifest .*json": lambda backup: manifest_path(backup.data).unlink(),
    "there is no backup": lambda backup: backup.data.unlink(),
}


def test_intact_backup_is_accepted_and_unchanged(backup: Backup) -> None:
    before = backup.data.read_bytes()
    verify_backup(Backup.at(backup.data))
    verify_backup(Backup.at(manifest_path(backup.data)))
    assert backup.data.read_bytes() == before


@pytest.mark.parametrize("message", FAULTS)
def test_damaged_backup_is_rejected(backup: Backup, message: str) -> None:
    FAULTS[message](backup)
    with pytest.raises(BackupError, match=message):
        verify_backup(Backup.at(backup.data))


def test_manifest_that_is_not_json_is_rejected(backup: Backup) -> None:
    manifest_path(backup.data).write_text("{")
    with pytest.raises(BackupError, match="cannot be read as a manifest"):
        Backup.at(backup.data)


def test_command_checks_the_newest_backup_by_default(
    backup: Backup, folder: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.BACKUP_DIR = str(folder)
    second = create_backup(folder)
    flip_a_bit(backup)
    call_command("verify")
    assert capsys.readouterr().out.startswith(f"{second.data}: good")
    with pytest.raises(CommandError, match="1 of 2 backups"):
        call_command("verify", all=True)
    captured = capsys.readouterr()
    assert f"{backup.data}: BAD" in captured.err
    assert f"{second.data}: good" in captured.out
    with pytest.raises(CommandError, match="1 of 1"):
        call_command("verify", str(backup.data))


def test_command_reports_missing_arguments_and_files(settings: Settings, tmp_path: Path) -> None:
    settings.BACKUP_DIR = ""
    with pytest.raises(CommandError, match="set BACKUP_DIR"):
        call_command("verify")
    settings.BACKUP_DIR = str(tmp_path)
    with pytest.raises(CommandError, match="no finished backup"):
        call_command("verify")
    with pytest.raises(CommandError, match="no backup"):
        call_command("verify", str(tmp_path / "nothing"))
    with pytest.raises(BackupError, match="no finished backup"):
        newest(tmp_path / "nowhere")
