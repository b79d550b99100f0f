"""The age of the last backup is in the metrics, soon after a start and whoever made the backup."""

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
from core.operations.backup.watch import BackupWatch, tell
from tests.running_service import RunningService

TIMESTAMP = "backup_last_success_timestamp_seconds"


class Database:
    """Answers with what it is given, in turn."""

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


def test_gauges_tell_of_the_last_backup() -> None:
    tell(last_backup(1_800_000_000))
    tell(None)
    assert REGISTRY.get_sample_value(TIMESTAMP) == 1_800_000_000
    assert REGISTRY.get_sample_value("backup_last_size_bytes") == 4096
    assert REGISTRY.get_sample_value("backup_last_duration_seconds") == 0.25


def test_database_that_is_away_does_not_end_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        database = Database(None, OperationalError("no such table"), last_backup(1_900_000_000), None)
        monkeypatch.setattr(watch, "database", database)
        monkeypatch.setattr(watch, "INTERVAL_SECONDS", 0.0)
        one = BackupWatch()
        await one.open()
        await asyncio.wait_for(database.is_empty.wait(), 10)
        await one.close()
        await one.close()

    asyncio.run(main())
    assert REGISTRY.get_sample_value(TIMESTAMP) == 1_900_000_000


def test_service_tells_of_a_backup_that_a_command_made(tmp_path: Path) -> None:
    service = RunningService(tmp_path)
    with service, service.client() as client:
        service.manage("backup", str(tmp_path / "backups"))
        service.stop()
        service.start()
        deadline = time.monotonic() + 10
        while (told := timestamp(client)) == 0:
            assert time.monotonic() < deadline
        assert abs(told - datetime.now(UTC).timestamp()) < 60
