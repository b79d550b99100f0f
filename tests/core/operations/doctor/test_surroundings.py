"""The doctor checks workers, files, disks, clocks, the trace collector and Redis."""

import asyncio
import resource
import shutil
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.core.cache import cache
from django.db.migrations.recorder import MigrationRecorder
from pytest_django import Settings

from core.operations.doctor import clock, disk, files, redis_server, tracing, workers
from core.operations.doctor.findings import Level
from core.operations.doctor.workers import count_workers
from core.telemetry.multiprocess import VARIABLE
from tests.core.operations.doctor.findings_of import complaints, the_one
from tests.ports import free_port
from tests.redis_server import RedisServer
from tests.tcp_proxy import TCPProxy

MIB = 1024 * 1024


@pytest.fixture
def one_worker(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.delenv("WORKERS", raising=False)
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
    monkeypatch.setattr(workers, "memory_bytes", lambda: 8 * 1024 * MIB)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (65536, 65536))
    return monkeypatch


def test_one_worker_is_fine(one_worker: pytest.MonkeyPatch) -> None:
    assert count_workers() == 1
    assert complaints(workers.check) == []


@pytest.mark.parametrize(
    ("variables", "count"),
    [({"WEB_CONCURRENCY": "3"}, 3), ({"WORKERS": "2", "WEB_CONCURRENCY": "3"}, 2), ({"WORKERS": "many"}, 1)],
)
def test_number_of_workers_comes_from_the_environment(
    one_worker: pytest.MonkeyPatch, variables: dict[str, str], count: int
) -> None:
    for name, value in variables.items():
        one_worker.setenv(name, value)
    assert count_workers() == count


def test_invalid_number_of_workers_is_an_error(one_worker: pytest.MonkeyPatch) -> None:
    one_worker.setenv("WORKERS", "0")
    assert "WORKERS is not a positive number" in the_one(workers.check, Level.ERROR).message


def test_workers_on_sqlite_and_without_redis_are_warnings(one_worker: pytest.MonkeyPatch, settings: Settings) -> None:
    one_worker.setenv("WORKERS", "4")
    one_worker.setattr(workers, "connection", SimpleNamespace(vendor="sqlite"))
    messages = [finding.message for finding in complaints(workers.check)]
    assert "4 workers on SQLite wait for each other's commits" in messages
    assert any("up to 4 times RATE_LIMIT" in message for message in messages)
    settings.REDIS_URL = "redis://localhost"
    one_worker.setattr(workers, "connection", SimpleNamespace(vendor="postgresql"))
    assert complaints(workers.check) == []


def test_many_workers_per_core_are_reported(one_worker: pytest.MonkeyPatch) -> None:
    one_worker.setenv("WORKERS", "4096")
    assert "4096 workers on" in the_one(workers.check, Level.INFO).message


def test_little_memory_and_few_files_are_warnings(one_worker: pytest.MonkeyPatch) -> None:
    one_worker.setattr(workers, "memory_bytes", lambda: 100 * MIB)
    one_worker.setattr(resource, "getrlimit", lambda _: (512, 1024))
    messages = [finding.message for finding in complaints(workers.check)]
    assert any(message.startswith("Log-ins alone may use 38 of 100 MiB") for message in messages)
    assert any("1024 files" in message for message in messages)


@pytest.mark.parametrize(
    ("limit", "total", "found"),
    [("536870912\n", "", 512 * MIB), ("max\n", "MemTotal:  2048 kB\n", 2 * MIB), (None, None, 0), ("max\n", "?", 0)],
)
def test_memory_of_the_container_precedes_the_machines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: str | None, total: str | None, found: int
) -> None:
    monkeypatch.setattr(workers, "CGROUP_MEMORY", tmp_path / "limit")
    monkeypatch.setattr(workers, "MEMORY", tmp_path / "total")
    for name, text in (("limit", limit), ("total", total)):
        if text is not None:
            (tmp_path / name).write_text(text)
    assert workers.memory_bytes() == found


def test_installed_files_have_no_findings(one_worker: pytest.MonkeyPatch) -> None:
    assert complaints(files.check) == []


def test_missing_files_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "STATIC_FILES", ("docs/nowhere.js",))
    monkeypatch.setattr(files, "PAGES", ("docs/nowhere.html",))
    assert "docs/nowhere.js, docs/nowhere.html" in the_one(files.check, Level.ERROR).message


def test_workers_metrics_need_writable_memory(one_worker: pytest.MonkeyPatch, tmp_path: Path) -> None:
    one_worker.setenv("WORKERS", "2")
    one_worker.delenv(VARIABLE, raising=False)
    one_worker.setattr("core.telemetry.multiprocess.MEMORY", tmp_path / "nowhere")
    assert "is not writable" in the_one(files.check, Level.WARNING).message


@pytest.mark.parametrize(
    ("free", "needed", "level"),
    [(50, 0, Level.ERROR), (500, 600, Level.ERROR), (500, 0, Level.WARNING), (50_000, 0, Level.OK)],
)
def test_free_space_is_checked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, needed: int, level: Level
) -> None:
    usage = SimpleNamespace(total=100_000 * MIB, free=free * MIB)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    [found] = disk.room(tmp_path, "backups", needed * MIB)
    assert found.level == level
    assert f"{free} MiB are free for backups" in found.message


def test_network_file_system_is_recognized(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    inner = tmp_path / "a b"
    mounts.write_text(
        f"1 0 8:1 / / rw - ext4 /dev/vda rw\n"
        f"2 1 0:1 / {str(inner).replace(' ', chr(92) + '040')} rw shared:1 - nfs4 server:/x rw\n"
    )
    monkeypatch.setattr(disk, "MOUNTS", mounts)
    assert disk.network_type(inner / "app.db") == "nfs4"
    assert disk.network_type(tmp_path / "app.db") == ""
    monkeypatch.setattr(disk, "MOUNTS", tmp_path / "nowhere")
    assert disk.network_type(inner / "app.db") == ""


@pytest.mark.parametrize(("ahead", "level"), [(0.1, Level.OK), (-5.0, Level.WARNING), (3600.0, Level.ERROR)])
@pytest.mark.django_db
def test_clocks_are_compared(monkeypatch: pytest.MonkeyPatch, ahead: float, level: Level) -> None:
    monkeypatch.setattr(clock, "_database", lambda: None)
    monkeypatch.setattr(clock, "_redis", lambda: datetime.now(UTC).timestamp() + ahead)
    [found] = clock.check()
    assert found.level == level
    assert "The clock of Redis is" in found.message


@pytest.mark.django_db
def test_clock_behind_the_last_migration_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import connection

    MigrationRecorder(connection).migration_qs.filter(app="items").update(
        applied=datetime.now(UTC) + timedelta(hours=1)
    )
    assert "This machine's clock is behind" in the_one(clock.check, Level.ERROR).message


def test_unreachable_trace_collector_is_a_warning(settings: Settings) -> None:
    assert complaints(tracing.check) == []
    settings.OTEL_EXPORTER_OTLP_ENDPOINT = f"http://127.0.0.1:{free_port()}"
    assert "is unreachable" in the_one(tracing.check, Level.WARNING).message
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings.OTEL_EXPORTER_OTLP_ENDPOINT = f"127.0.0.1:{listener.getsockname()[1]}"
        assert complaints(tracing.check) == []


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def test_redis_without_limit_or_eviction_is_a_warning(redis: RedisServer, settings: Settings) -> None:
    settings.REDIS_URL = redis.url
    assert "has no maxmemory" in the_one(redis_server.check, Level.WARNING).message
    with redis.client() as client:
        client.config_set("maxmemory", "64mb")
    assert "maxmemory-policy is noeviction" in the_one(redis_server.check, Level.WARNING).message
    with redis.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    assert complaints(redis_server.check) == []


@pytest.mark.parametrize(
    ("delay_seconds", "timeout_seconds", "message"),
    [(0.11, 0.5, "delays every request"), (0.2, 0.04, "unreachable")],
)
def test_slow_redis_is_a_warning(
    redis: RedisServer, settings: Settings, delay_seconds: float, timeout_seconds: float, message: str
) -> None:
    settings.REDIS_TIMEOUT_SECONDS = timeout_seconds
    with redis.client() as client:
        client.config_set("maxmemory", "64mb")
        client.config_set("maxmemory-policy", "allkeys-lru")
    with TCPProxy(redis.port) as proxy:
        proxy.delay_seconds = delay_seconds
        settings.REDIS_URL = f"redis://127.0.0.1:{proxy.port}/0"
        assert message in the_one(redis_server.check, Level.WARNING).message


def test_reason_why_redis_is_unreachable_is_reported(settings: Settings) -> None:
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    assert "Connect call failed" in the_one(redis_server.check, Level.WARNING).message


def test_old_and_unencrypted_redis_and_lost_calls_are_reported(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_URL = "redis://:secret@redis.example.org"
    facts: dict[str, str] = {"redis_version": "5.0.14", "maxmemory": "1048576", "maxmemory_policy": "allkeys-lru"}
    latencies = [0.001] * redis_server.PINGS

    async def measure() -> tuple[dict[str, str], list[float], str]:
        await asyncio.sleep(0)
        return facts, latencies, ""

    monkeypatch.setattr(redis_server, "_measure", measure)
    assert "older than 6.2" in the_one(redis_server.check, Level.ERROR).message
    assert "unencrypted" in the_one(redis_server.check, Level.INFO).message
    facts.clear()
    latencies.pop()
    assert "answered 19 of 20 calls" in the_one(redis_server.check, Level.WARNING).message


def test_cache_that_loses_entries_is_a_warning(
    redis: RedisServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_URL = redis.url
    monkeypatch.setattr(cache, "set", lambda *_, **__: None)
    assert any("loses its entries" in finding.message for finding in complaints(redis_server.check))
