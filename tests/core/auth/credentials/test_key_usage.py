"""Uses of API keys: noted in memory by requests, and written in the background."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from core.auth.caller import UNKNOWN_CALLER
from core.auth.credentials import key_usage as module
from core.auth.credentials.key_usage import KeyUsage
from core.auth.models import APIKey, AuditEvent, User
from core.http.problems import ServiceUnavailable
from core.values import now

HOME, AWAY = "203.0.113.7", "2001:db8::1"


class Database:
    """Runs jobs, or fails while `is_down`."""

    def __init__(self) -> None:
        self.writes, self.is_down = 0, False

    async def write(self, job: Callable[[], Any]) -> Any:
        self.writes += 1
        if self.is_down:
            raise ServiceUnavailable("away")
        return await asyncio.to_thread(_in_transaction, job)


def _in_transaction(job: Callable[[], Any]) -> Any:
    try:
        with transaction.atomic():
            return job()
    finally:
        connection.close()


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    database = Database()
    monkeypatch.setattr(module, "database", database)
    return database


@pytest.fixture
def key(transactional_db: None) -> APIKey:
    user = User.objects.create(email="ada@example.org")
    return APIKey.objects.create(user=user, name="k", prefix="abcdefgh1234", digest="d", scopes="x", created_at=now())


def write(*uses: tuple[APIKey, str]) -> None:
    usage = KeyUsage()
    for key, ip in uses:
        usage.note(key.id, ip)
    asyncio.run(usage.write())
    uses[0][0].refresh_from_db()


def test_many_uses_are_written_in_one_transaction(database: Database, key: APIKey) -> None:
    write(*[(key, HOME)] * 1000)
    assert database.writes == 1
    assert key.last_used_at is not None
    assert now() - key.last_used_at < timedelta(seconds=5)
    assert key.known_ips == HOME


def test_last_use_is_written_at_most_once_a_minute(database: Database, key: APIKey) -> None:
    write((key, HOME))
    first = key.last_used_at
    write((key, HOME))
    assert key.last_used_at == first
    APIKey.objects.update(last_used_at=now() - timedelta(seconds=61))
    write((key, HOME))
    assert key.last_used_at is not None
    assert first is not None
    assert key.last_used_at >= first


def test_only_a_new_address_is_an_audit_event(database: Database, key: APIKey) -> None:
    write((key, HOME))
    write((key, HOME), (key, AWAY))
    write((key, AWAY))
    events = list(AuditEvent.objects.filter(event="api_key_used_from_new_address").order_by("created_at"))
    assert [(event.ip, event.api_key_id, event.user_id) for event in events] == [
        (HOME, key.id, key.user_id),
        (AWAY, key.id, key.user_id),
    ]
    assert key.known_ips.split() == [HOME, AWAY]


def test_number_of_addresses_is_bounded(database: Database, key: APIKey) -> None:
    write(*((key, f"198.51.100.{n}") for n in range(100)))
    assert len(key.known_ips.split()) == module.MAX_ADDRESSES
    write((key, HOME))
    assert len(key.known_ips.split()) == module.MAX_ADDRESSES
    assert HOME in key.known_ips


def test_number_of_noted_keys_is_bounded(monkeypatch: pytest.MonkeyPatch, key: APIKey) -> None:
    monkeypatch.setattr(module, "MAX_KEYS_NOTED", 0)
    usage = KeyUsage()
    usage.note(key.id, HOME)
    assert not usage._uses


def test_use_of_a_deleted_key_is_ignored(database: Database, key: APIKey) -> None:
    other = APIKey(id=key.user_id)
    write((key, HOME), (other, HOME))
    assert key.last_used_at is not None


def test_database_failure_is_logged_and_drops_the_uses(
    database: Database, key: APIKey, caplog: pytest.LogCaptureFixture
) -> None:
    database.is_down = True
    write((key, HOME))
    assert "could not be written" in caplog.text
    assert key.last_used_at is None


def test_close_writes_the_remaining_uses(database: Database, key: APIKey) -> None:
    async def scenario() -> None:
        usage = KeyUsage()
        await usage.open()
        usage.note(key.id, HOME)
        await usage.close()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(scenario())
    key.refresh_from_db()
    assert key.last_used_at is not None


def test_task_writes_regularly(database: Database, key: APIKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WRITE_INTERVAL_SECONDS", 0.01)

    async def scenario() -> None:
        usage = KeyUsage()
        await usage.open()
        usage.note(key.id, HOME)
        async with asyncio.timeout(5):
            while not database.writes:  # noqa: ASYNC110  # the task signals nobody
                await asyncio.sleep(0.01)
        await usage.close()

    asyncio.run(scenario())


def test_unknown_caller_is_empty() -> None:
    assert (UNKNOWN_CALLER.ip, UNKNOWN_CALLER.user_agent, UNKNOWN_CALLER.request_id) == (None, "", "")
