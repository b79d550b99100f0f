"""Migrations that are pending are on /metrics though nobody probes, and leave it when they are applied."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.running_service import RunningService


def pending(service: RunningService) -> float | None:
    with service.client() as client:
        lines = client.get("/metrics").text.splitlines()
    found = [line for line in lines if line.startswith("django_migrations_unapplied_total{")]
    return float(found[0].split()[-1]) if found else None


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_pending_migrations_are_told_until_they_are_applied(tmp_path: Path) -> None:
    service = RunningService(tmp_path)
    try:
        service.start()
        wait_for(lambda: pending(service) is not None)
        assert pending(service)
        service.manage("migrate", "--verbosity=0")
        wait_for(lambda: pending(service) == 0)
    finally:
        service.stop()
