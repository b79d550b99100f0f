"""Revoked credentials fail within a second, and live credentials take one query a second."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.auth.credentials import revocation
from core.auth.credentials.revocation import CredentialCache, LiveCredential, find_api_key, find_session
from core.auth.models import APIKey, Session, User
from core.http.principal import Principal
from core.http.problems import ServiceUnavailable
from core.values import now
from tests.databases import IS_POSTGRES

type MakeUser = Callable[..., User]

GOOD = LiveCredential(Principal(uuid4(), "u", False, None, uuid4(), None))


class Database:
    """Answers while `may_answer` is set, and counts the queries."""

    def __init__(self, *answers: LiveCredential | Exception | None) -> None:
        self.answers, self.asked = list(answers), 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def ask(self, _: str) -> LiveCredential | None:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await self.may_answer.wait()
        if isinstance(answer, Exception):
            raise answer
        return answer


class Clock:
    """Replaces time.monotonic with a clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(revocation, "time", clock)
    return clock


def test_result_is_cached_for_less_than_a_second(clock: Clock) -> None:
    async def scenario() -> None:
        database = Database(GOOD, None)
        cache = CredentialCache(database.ask)
        assert await cache.get("k") is GOOD
        clock.now += 0.89
        assert await cache.get("k") is GOOD
        assert database.asked == 1
        clock.now += 0.02
        assert await cache.get("k") is None
        assert database.asked == 2

    asyncio.run(scenario())


def test_age_of_a_result_counts_from_the_start_of_the_query(clock: Clock) -> None:
    async def scenario() -> None:
        database = Database(GOOD, None)
        database.may_answer.clear()
        cache = CredentialCache(database.ask)
        slow = asyncio.create_task(cache.get("k"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        clock.now += 0.95
        database.may_answer.set()
        assert await slow is GOOD
        assert await cache.get("k") is None

    asyncio.run(scenario())


def test_missing_credential_is_cached(clock: Clock) -> None:
    async def scenario() -> None:
        database = Database(None)
        cache = CredentialCache(database.ask)
        assert [await cache.get("k") for _ in range(5)] == [None] * 5
        assert database.asked == 1

    asyncio.run(scenario())


def test_concurrent_requests_share_one_query() -> None:
    async def scenario() -> None:
        database = Database(GOOD)
        cache = CredentialCache(database.ask)
        answers = await asyncio.gather(*(cache.get("k") for _ in range(50)))
        assert answers == [GOOD] * 50
        assert database.asked == 1
        await asyncio.gather(cache.get("a"), cache.get("b"))
        assert database.asked == 3

    asyncio.run(scenario())


def test_disconnect_of_one_client_does_not_fail_the_others() -> None:
    async def scenario() -> None:
        database = Database(GOOD)
        database.may_answer.clear()
        cache = CredentialCache(database.ask)
        first, second = asyncio.create_task(cache.get("k")), asyncio.create_task(cache.get("k"))
        await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.sleep(0)
        database.may_answer.set()
        assert await second is GOOD
        assert database.asked == 1

    asyncio.run(scenario())


def test_failure_reaches_every_waiting_request_and_is_not_cached() -> None:
    async def scenario() -> None:
        database = Database(ServiceUnavailable("away"), GOOD)
        cache = CredentialCache(database.ask)
        answers = await asyncio.gather(*(cache.get("k") for _ in range(5)), return_exceptions=True)
        assert [type(answer) for answer in answers] == [ServiceUnavailable] * 5
        assert await cache.get("k") is GOOD

    asyncio.run(scenario())


def test_failure_without_a_waiting_request_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        database = Database(ServiceUnavailable("away"))
        database.may_answer.clear()
        cache = CredentialCache(database.ask)
        only = asyncio.create_task(cache.get("k"))
        await asyncio.sleep(0.01)
        only.cancel()
        database.may_answer.set()
        await asyncio.sleep(0.01)

    asyncio.run(scenario())
    assert not caplog.records


def test_forgotten_credential_is_queried_again() -> None:
    async def scenario() -> None:
        database = Database(GOOD, None)
        cache = CredentialCache(database.ask)
        assert await cache.get("k") is GOOD
        cache.forget("k")
        assert await cache.get("k") is None

    asyncio.run(scenario())


def test_query_in_progress_when_a_credential_is_forgotten_is_not_cached() -> None:
    async def scenario() -> None:
        database = Database(GOOD, None)
        database.may_answer.clear()
        cache = CredentialCache(database.ask)
        early = asyncio.create_task(cache.get("k"))
        await asyncio.sleep(0.01)
        cache.forget("k")
        late = asyncio.create_task(cache.get("k"))
        await asyncio.sleep(0.01)
        database.may_answer.set()
        assert (await early, await late) == (GOOD, None)
        assert await cache.get("k") is None

    asyncio.run(scenario())


def test_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocation, "MAX_CACHED", 10)

    async def scenario() -> None:
        cache = CredentialCache(Database(GOOD).ask)
        for number in range(100):
            await cache.get(str(number))
        assert list(cache._results) == [str(number) for number in range(90, 100)]
        assert not cache._pending

    asyncio.run(scenario())


def test_result_is_not_cached_beyond_the_expiry_of_the_credential() -> None:
    async def scenario() -> None:
        database = Database(LiveCredential(GOOD.principal, now() + timedelta(seconds=0.2)), None)
        cache = CredentialCache(database.ask)
        assert await cache.get("k") is not None
        end = time.monotonic() + 0.8
        while await cache.get("k") is not None:
            assert time.monotonic() < end
            await asyncio.sleep(0.01)

    asyncio.run(scenario())


def session_of(user: User, **fields: Any) -> Session:
    moment = now()
    later = moment + timedelta(hours=1)
    dates = {"created_at": moment, "last_used_at": moment, "expires_at": later, "last_expires_at": later}
    return Session.objects.create(user=user, **{**dates, **fields})


def key_of(user: User, **fields: Any) -> APIKey:
    usual = {
        "name": "k",
        "prefix": "abcdefgh1234",
        "digest": "d" * 64,
        "scopes": "items:read",
        "created_at": now(),
    }
    return APIKey.objects.create(user=user, **{**usual, **fields})


def test_live_session_is_found_with_its_user(make_user: MakeUser) -> None:
    user = make_user(is_staff=True)
    session = session_of(user)
    found = find_session(str(session.id))
    assert found is not None
    assert found.principal == Principal(user.id, str(user.id), True, None, session.id, None)
    assert found.principal.is_staff is True
    assert found.expires_at == session.expires_at


@pytest.mark.parametrize(
    ("session", "user"),
    [
        ({"revoked_at": now()}, {}),
        ({"expires_at": now() - timedelta(seconds=1)}, {}),
        ({}, {"is_active": False}),
    ],
)
def test_ended_session_is_not_found(make_user: MakeUser, session: dict[str, Any], user: dict[str, Any]) -> None:
    assert find_session(str(session_of(make_user(**user), **session).id)) is None


def test_unknown_session_is_not_found(db: None) -> None:
    assert find_session(str(uuid4())) is None


def test_live_key_is_found_with_its_scopes(make_user: MakeUser) -> None:
    user = make_user()
    key = key_of(user, scopes="items:read items:write", expires_at=now() + timedelta(hours=1))
    found = find_api_key(key.prefix)
    assert found is not None
    scopes = frozenset({"items:read", "items:write"})
    assert found.principal == Principal(user.id, str(user.id), False, scopes, None, key.id)
    assert (found.secret_digest, found.expires_at) == (key.digest, key.expires_at)


@pytest.mark.parametrize(
    ("key", "user"),
    [
        ({"revoked_at": now()}, {}),
        ({"expires_at": now() - timedelta(seconds=1)}, {}),
        ({"prefix": "another12345"}, {}),
        ({}, {"is_active": False}),
    ],
)
def test_ended_key_is_not_found(make_user: MakeUser, key: dict[str, Any], user: dict[str, Any]) -> None:
    key_of(make_user(**user), **key)
    assert find_api_key("abcdefgh1234") is None


@pytest.mark.skipif(IS_POSTGRES, reason="reads SQLite's query plans")
@pytest.mark.parametrize("look_up", [lambda: find_session(str(UUID(int=1))), lambda: find_api_key("abcdefgh1234")])
def test_lookup_is_one_query_by_an_index(db: None, look_up: Callable[[], object]) -> None:
    with CaptureQueriesContext(connection) as queries:
        look_up()
    [query] = queries.captured_queries
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
        plan = [row[3] for row in cursor.fetchall()]
    assert plan
    assert all(step.startswith("SEARCH") for step in plan), plan
