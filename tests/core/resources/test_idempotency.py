"""Idempotency keys: their syntax, and exactly one effect for each, also with concurrent requests."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from core.auth.models import APIKey, User
from core.database.pool import database
from core.http.principal import Principal
from core.http.problems import Conflict, IdempotencyInProgress, IdempotencyMismatch, InvalidHeader, Unauthorized
from core.models import IdempotencyRecord
from core.resources.idempotency import Key, StoredResponse, purge, read_key, run_once
from core.values import now
from tests.core.requests import make_request

USER = uuid4()
ME = Principal(USER, str(USER), is_staff=False, scopes=None, session_id=None, api_key_id=None)
KEY = Key("a" * 64, "b" * 64)


def key(*values: str, **request: str | bytes) -> Key | None:
    headers = [("idempotency-key", value) for value in values]
    headers += [("content-type", str(request.pop("content_type", "application/json")))]
    return read_key(make_request(*headers, method="POST", **request), ME)  # type: ignore[arg-type]


def test_request_without_a_key_has_no_key() -> None:
    assert key() is None


@pytest.mark.parametrize("value", ["!", "~" * 255, '"quoted"', 'a"b', '"a\\"b\\\\c"', "8e03978e-40d5", "a,b;c=d"])
def test_key_of_visible_ascii_is_valid(value: str) -> None:
    assert key(value) is not None


@pytest.mark.parametrize(
    "value",
    ["", " ", "x" * 256, "two words", '"two words"', "caf\u00e9", '"', '""', '"a', '"a"b', '"a\\b"', "\x7f", "\t"],
)
def test_malformed_key_is_refused(value: str) -> None:
    with pytest.raises(InvalidHeader):
        key(value)


def test_repeated_header_is_refused() -> None:
    with pytest.raises(InvalidHeader):
        key("a", "a")


@given(text=st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=100))
def test_quoted_and_bare_keys_are_equal(text: str) -> None:
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if not text.startswith('"'):
        assert key(quoted) == key(text) == key(f"  {text}\t")
    assert key(quoted) is not None


def test_key_is_scoped_by_user_method_and_path() -> None:
    found = key("k", path="/v1/items/")
    assert found == key("k", path="/v1/items")
    assert found
    others = [key("other"), key("k", path="/v1/notes/"), read_key(make_request(("idempotency-key", "k")), ME)]
    other_user = uuid4()
    stranger = Principal(other_user, str(other_user), is_staff=False, scopes=None, session_id=None, api_key_id=None)
    others.append(read_key(make_request(("idempotency-key", "k"), method="POST"), stranger))
    assert found.scope_digest not in {other.scope_digest for other in others if other}


@pytest.mark.parametrize(
    "change", [{"body": b"{ }"}, {"content_type": "application/json; charset=utf-8"}, {"query": "a=1"}]
)
def test_repeat_must_have_the_same_body_type_and_query(change: dict[str, str | bytes]) -> None:
    first, other = key("k", body=b"{}"), key("k", **{"body": b"{}", **change})
    assert first
    assert other
    assert first.scope_digest == other.scope_digest
    assert first.request_digest != other.request_digest


def answer(number: int = 1) -> StoredResponse:
    return StoredResponse(201, b'{"n":%d}' % number, f"/v1/items/{number}", '"1"')


def replay_of(response: StoredResponse) -> StoredResponse:
    return response._replace(is_replay=True)


def play(scene: Callable[[], Awaitable[None]]) -> None:
    """Run a scene with the database's threads."""

    async def run() -> None:
        await database.open()
        try:
            await scene()
        finally:
            await database.close()

    asyncio.run(run())


@pytest.mark.django_db(transaction=True)
def test_repeat_replays_the_stored_response() -> None:
    async def scene() -> None:
        assert await run_once(ME, KEY, lambda: answer(1)) == answer(1)
        assert await run_once(ME, KEY, lambda: answer(2)) == replay_of(answer(1))
        assert await run_once(ME, None, lambda: answer(3)) == answer(3)
        with pytest.raises(IdempotencyMismatch):
            await run_once(ME, Key(KEY.scope_digest, "c" * 64), lambda: answer(4))

    play(scene)
    assert replay_of(answer(1)).to_http().headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in answer(1).to_http().headers


@pytest.mark.django_db(transaction=True)
def test_failed_effect_does_not_use_the_key() -> None:
    def fail() -> StoredResponse:
        raise Conflict

    async def scene() -> None:
        with pytest.raises(Conflict):
            await run_once(ME, KEY, fail)
        assert await run_once(ME, KEY, answer) == answer()

    play(scene)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("key", [None, KEY])
def test_effect_for_a_deleted_account_is_unauthorized(key: Key | None) -> None:
    def own() -> StoredResponse:
        APIKey.objects.create(user_id=USER, name="mine", prefix="p", digest="", scopes="", created_at=now())
        return answer()

    async def scene() -> None:
        with pytest.raises(Unauthorized):
            await run_once(ME, key, own)
        # If the account exists, the error is a bug and stays visible.
        await database.write(lambda: User.objects.create(id=USER, email="me@example.org"))
        await run_once(ME, None, own)
        with pytest.raises(IntegrityError):
            await run_once(ME, key, own)

    play(scene)


@pytest.mark.django_db(transaction=True)
def test_effect_and_record_are_rolled_back_together() -> None:
    other = Key("d" * 64, "e" * 64)

    def effect() -> StoredResponse:
        IdempotencyRecord.objects.filter(pk=other.scope_digest).delete()
        return answer(2)

    async def scene() -> None:
        await run_once(ME, other, answer)
        await run_once(ME, KEY, answer)
        assert (await run_once(ME, KEY, effect)).is_replay

    play(scene)
    assert IdempotencyRecord.objects.filter(pk=other.scope_digest).exists()


@pytest.mark.django_db(transaction=True)
def test_expired_key_can_be_used_before_it_is_purged() -> None:
    async def scene() -> None:
        await run_once(ME, KEY, lambda: answer(1))
        await database.write(lambda: IdempotencyRecord.objects.update(expires_at=now() - timedelta(seconds=1)))
        assert await run_once(ME, KEY, lambda: answer(2)) == answer(2)
        assert await run_once(ME, KEY, lambda: answer(3)) == replay_of(answer(2))

    play(scene)


@pytest.mark.django_db(transaction=True)
def test_concurrent_calls_have_one_effect() -> None:
    effects: list[int] = []

    def effect(number: int) -> StoredResponse:
        effects.append(number)
        return answer(number)

    async def scene() -> None:
        calls = [run_once(ME, KEY, lambda number=number: effect(number)) for number in range(40)]  # type: ignore[misc]
        answers = await asyncio.gather(*calls)
        assert len({found.body for found in answers}) == 1
        assert sum(not found.is_replay for found in answers) == 1

    play(scene)
    assert IdempotencyRecord.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_repeat_that_waits_too_long_gets_retry_after(settings: Settings) -> None:
    started, may_finish = threading.Event(), threading.Event()

    def hold() -> None:
        moment = now()
        IdempotencyRecord.objects.create(
            scope_digest=KEY.scope_digest,
            request_digest=KEY.request_digest,
            status=201,
            body=b"1",
            created_at=moment,
            expires_at=moment + timedelta(seconds=60),
        )
        started.set()
        assert may_finish.wait(30)

    async def scene() -> None:
        first = asyncio.ensure_future(database.write(hold))
        await asyncio.to_thread(started.wait)
        settings.IDEMPOTENCY_WAIT = 0.05
        with pytest.raises(IdempotencyInProgress) as refusal:
            await run_once(ME, KEY, answer)
        assert refusal.value.headers == {"Retry-After": "1"}
        may_finish.set()
        await first
        settings.IDEMPOTENCY_WAIT = 10
        assert (await run_once(ME, KEY, answer)).body == b"1"

    play(scene)


@pytest.mark.django_db
def test_purge_deletes_expired_records_in_batches() -> None:
    moment = now()
    IdempotencyRecord.objects.bulk_create(
        IdempotencyRecord(
            scope_digest=f"{number:064}",
            request_digest="",
            status=201,
            body=b"",
            created_at=moment,
            expires_at=moment + timedelta(seconds=60 if number % 2 else -60),
        )
        for number in range(10)
    )
    assert [purge(3), purge(3), purge(3)] == [3, 2, 0]
    assert IdempotencyRecord.objects.count() == 5
    assert str(IdempotencyRecord.objects.earliest("pk")) == f"{1:064}"
