"""The metrics show the last backup, soon after a start and for every process."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from django.db import OperationalError
from prometheus_client import REGISTRY

from core.operations.backup import watch
from core.operations.backup.models import LastBackup
from core.operations.backup.watch import BackupWatch, set_gauges
from tests.running_service import RunningService

TIMESTAMP = "backup_last_success_timestamp_seconds"


class Database:
    """Returns or raises the given answers in turn."""

    def __init__(self, *answers: LastBackup | Exception | None) -> None:
        self.answers = list(answers)
        self.is_empty = asyncio.Event()

    async def read(self, job: object) -> LastBackup | None:
        answer = self.answers.pop(0)
        if not self.answers:
            self.is_empty.set()
        if isinstance(answer, Exception):
            raise answer
        return answer


def last_backup(second: int) -> LastBackup:
    moment = datetime.fromtimestamp(second, UTC)
    return LastBackup(created_at=moment, file="a.sqlite3", size_bytes=4096, seconds=0.25)


def timestamp(client: httpx.Client) -> float:
    lines = client.get("/metrics").text.splitlines()
    [value] = [float(line.split()[1]) for line in lines if line.startswith(TIMESTAMP)]
    return value


def test_gauges_show_the_last_backup() -> None:
    set_gauges(last_backup(1_800_000_000))
    set_gauges(None)
    assert REGISTRY.get_sample_value(TIMESTAMP) == 1_800_000_000
    assert REGISTRY.get_sample_value("backup_last_size_bytes") == 4096
    assert REGISTRY.get_sample_value("backup_last_duration_seconds") == 0.25


def test_unreachable_database_does_not_end_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        database = Database(None, OperationalError("no such table"), last_backup(1_900_000_000), None)
        monkeypatch.setattr(watch, "database", database)
        monkeypatch.setattr(watch, "INTERVAL_SECONDS", 0.0)
        backup_watch = BackupWatch()
        await backup_watch.open()
        await asyncio.wait_for(database.is_empty.wait(), 10)
        await backup_watch.close()
        await backup_watch.close()

    asyncio.run(main())
    assert REGISTRY.get_sample_value(TIMESTAMP) == 1_900_000_000


def test_service_shows_a_backup_of_the_command(tmp_path: Path) -> None:
    service = RunningService(tmp_path)
    with service, service.client() as client:
        service.manage("backup", str(tmp_path / "backups"))
        service.stop()
        service.start()
        deadline = time.monotonic() + 10
        while (shown := timestamp(client)) == 0:
            assert time.monotonic() < deadline
        assert abs(shown - datetime.now(UTC).timestamp()) < 60
