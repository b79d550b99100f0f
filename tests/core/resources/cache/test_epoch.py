"""The epoch on a real database and a real Redis."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic

import pytest
from django.db import transaction
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from core.database.pool import database
from core.http.problems import ServiceUnavailable
from core.models import CacheEpoch
from core.redis.client import RedisClient
from core.resources.cache import epoch
from core.resources.cache.epoch import Epoch, begin_epoch, find_epoch, settle_epoch, turn_on_commit
from tests.core.resources.cache.world import Refused
from tests.redis_server import RedisServer

type Job = Callable[[Epoch, RedisClient], Awaitable[None]]


@pytest.fixture
def with_redis(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REDIS_URL = "redis://configured"
    monkeypatch.setattr(epoch, "LEASE_SECONDS", 0.001)


def run(server: RedisServer, job: Job) -> None:
    """With the database's threads and a connected client."""

    async def main() -> None:
        client = RedisClient()
        await database.open()
        await client.open(server.url, 5)
        try:
            await job(Epoch(client), client)
        finally:
            await client.close()
            await database.close()

    asyncio.run(main())


@pytest.mark.django_db
def test_each_epoch_is_another() -> None:
    assert find_epoch() == ("", "")
    first, second = begin_epoch(), begin_epoch()
    assert find_epoch() == second != first
    assert CacheEpoch.objects.count() == 1
    assert str(CacheEpoch.objects.get()) == second[0]


@pytest.mark.django_db
def test_epoch_is_settled_once_for_each_redis() -> None:
    first = settle_epoch("one")
    assert settle_epoch("one") == first == find_epoch()
    begin_epoch()
    token, run_id = find_epoch()
    assert run_id == "one", "a turn leaves the server as it is"
    assert settle_epoch("two")[0] not in ("", token)
    assert find_epoch()[1] == "two"


@pytest.mark.django_db
@pytest.mark.usefixtures("with_redis")
def test_changes_of_one_transaction_turn_it_once(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks() as callbacks:
        for _ in range(3):
            turn_on_commit()
        with transaction.atomic():
            turn_on_commit()
    assert len(callbacks) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("with_redis")
def test_it_is_turned_by_a_commit_and_not_by_a_rollback() -> None:
    before = find_epoch()
    with transaction.atomic():
        turn_on_commit()
        assert find_epoch() == before
    after = find_epoch()
    assert after != before
    with transaction.atomic():
        turn_on_commit()
        transaction.set_rollback(True)
    assert find_epoch() == after
    turn_on_commit()
    assert find_epoch() != after, "outside of a transaction at once"


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("with_redis")
def test_change_after_a_savepoint_that_was_rolled_back_still_turns_it() -> None:
    before = find_epoch()
    with transaction.atomic():
        with suppress(Refused), transaction.atomic():
            turn_on_commit()
            raise Refused
        turn_on_commit()
    assert find_epoch() != before


@pytest.mark.django_db
def test_without_redis_nothing_is_turned(settings: Settings) -> None:
    assert settings.REDIS_URL == ""
    turn_on_commit()
    assert not CacheEpoch.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_process_trusts_a_redis_that_it_has_asked_who_it_is(server: RedisServer) -> None:
    async def job(known: Epoch, client: RedisClient) -> None:
        assert not known.is_connected
        assert await known.is_trusted(monotonic())
        with server.client() as redis:
            run_id = redis.info("server")["run_id"]
        assert await database.read(find_epoch) == (known.token.decode(), run_id)
        await client.close()
        assert not await known.is_trusted(monotonic())

    run(server, job)


@pytest.mark.django_db(transaction=True)
def test_look_is_renewed_in_the_background_before_its_lease_ends(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(epoch, "monotonic", lambda: now[0])

    async def job(known: Epoch, client: RedisClient) -> None:
        assert await known.is_trusted(now[0])
        await database.write(begin_epoch)
        token = known.token
        now[0] += epoch.LEASE_SECONDS * 0.6
        assert await known.is_trusted(now[0])
        assert known.token == token, "nobody waits for it"
        assert known._looking
        await known._looking
        assert known.token != token

    run(server, job)


@pytest.mark.django_db(transaction=True)
def test_changes_that_come_together_share_a_turn(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[int] = []

    async def job(known: Epoch, client: RedisClient) -> None:
        original = known._begin

        async def begin() -> None:
            turns.append(1)
            await original()

        monkeypatch.setattr(known, "_begin", begin)
        await asyncio.gather(*(known.turn() for _ in range(50)))
        assert len(turns) == 2, "the first, and one for all who came while that was made"
        await known.turn()
        assert len(turns) == 3

    run(server, job)


@pytest.mark.django_db(transaction=True)
def test_database_that_cannot_be_asked_is_told(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse() -> tuple[str, str]:
        raise ServiceUnavailable

    async def job(known: Epoch, client: RedisClient) -> None:
        assert await known.is_trusted(monotonic())
        monkeypatch.setattr(known, "_find", refuse)
        later = monotonic() + 1
        with pytest.raises(ServiceUnavailable):
            await known.is_trusted(later)
        monkeypatch.setattr(known, "_begin", refuse)
        with pytest.raises(ServiceUnavailable):
            await known.turn()

    run(server, job)


@pytest.mark.django_db(transaction=True)
def test_redis_that_does_not_say_who_it_is_is_not_trusted(server: RedisServer) -> None:
    async def job(known: Epoch, client: RedisClient) -> None:
        client.run_id = ""
        assert not await known.is_trusted(monotonic())

    run(server, job)
