"""/metrics shows the number of pending migrations without any health probe."""

from pathlib import Path

import pytest

from tests.running_service import RunningService
from tests.waiting import await_true


def pending(service: RunningService) -> float | None:
    with service.client() as client:
        lines = client.get("/metrics").text.splitlines()
    found = [line for line in lines if line.startswith("django_migrations_unapplied_total{")]
    return float(found[0].split()[-1]) if found else None


@pytest.mark.slow
def test_pending_migrations_are_shown_until_they_are_applied(tmp_path: Path) -> None:
    service = RunningService(tmp_path)
    try:
        service.start()
        await_true(lambda: pending(service) is not None)
        assert pending(service)
        service.manage("migrate", "--verbosity=0")
        await_true(lambda: pending(service) == 0)
    finally:
        service.stop()
