"""The epoch in a real database, with a real Redis."""

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
    """Run a job with the database's threads and a connected client."""

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
def test_every_epoch_has_a_new_token() -> None:
    assert find_epoch() == ("", "")
    first, second = begin_epoch(), begin_epoch()
    assert find_epoch() == second != first
    assert CacheEpoch.objects.count() == 1
    assert str(CacheEpoch.objects.get()) == second[0]


@pytest.mark.django_db
def test_epoch_changes_once_for_each_redis() -> None:
    first = settle_epoch("one")
    assert settle_epoch("one") == first == find_epoch()
    begin_epoch()
    token, run_id = find_epoch()
    assert run_id == "one", "a new epoch keeps its Redis server"
    assert settle_epoch("two")[0] not in ("", token)
    assert find_epoch()[1] == "two"


@pytest.mark.django_db
@pytest.mark.usefixtures("with_redis")
def test_changes_of_one_transaction_turn_the_epoch_once(
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
def test_commit_turns_the_epoch_and_rollback_does_not() -> None:
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
    assert find_epoch() != after, "outside a transaction, the epoch changes immediately"


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("with_redis")
def test_change_after_a_savepoint_rollback_turns_the_epoch() -> None:
    before = find_epoch()
    with transaction.atomic():
        with suppress(Refused), transaction.atomic():
            turn_on_commit()
            raise Refused
        turn_on_commit()
    assert find_epoch() != before


@pytest.mark.django_db
def test_epoch_is_not_turned_without_redis(settings: Settings) -> None:
    assert settings.REDIS_URL == ""
    turn_on_commit()
    assert not CacheEpoch.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_process_trusts_only_a_redis_whose_run_id_it_knows(server: RedisServer) -> None:
    async def job(process_epoch: Epoch, client: RedisClient) -> None:
        assert not process_epoch.is_connected
        assert await process_epoch.is_trusted(monotonic())
        with server.client() as redis:
            run_id = redis.info("server")["run_id"]
        assert await database.read(find_epoch) == (process_epoch.token.decode(), run_id)
        await client.close()
        assert not await process_epoch.is_trusted(monotonic())

    run(server, job)


@pytest.mark.django_db(transaction=True)
def test_epoch_is_looked_up_in_the_background_before_its_lease_ends(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(epoch, "monotonic", lambda: now[0])

    async def job(process_epoch: Epoch, client: RedisClient) -> None:
        assert await process_epoch.is_trusted(now[0])
        await database.write(begin_epoch)
        token = process_epoch.token
        now[0] += epoch.LEASE_SECONDS * 0.6
        assert await process_epoch.is_trusted(now[0])
        assert process_epoch.token == token, "the request does not wait for the look"
        assert process_epoch._looking
        await process_epoch._looking
        assert process_epoch.token != token

    run(server, job)


@pytest.mark.django_db(transaction=True)
def test_concurrent_changes_share_a_turn(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[int] = []

    async def job(process_epoch: Epoch, client: RedisClient) -> None:
        original = process_epoch._begin

        async def begin() -> None:
            turns.append(1)
            await original()

        monkeypatch.setattr(process_epoch, "_begin", begin)
        await asyncio.gather(*(process_epoch.turn() for _ in range(50)))
        assert len(turns) == 2, "one turn for the first call, and one for all calls during it"
        await process_epoch.turn()
        assert len(turns) == 3

    run(server, job)


@pytest.mark.django_db(transaction=True)
def test_unavailable_database_raises_service_unavailable(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse() -> tuple[str, str]:
        raise ServiceUnavailable

    async def job(process_epoch: Epoch, client: RedisClient) -> None:
        assert await process_epoch.is_trusted(monotonic())
        monkeypatch.setattr(process_epoch, "_find", refuse)
        later = monotonic() + 1
        with pytest.raises(ServiceUnavailable):
            await process_epoch.is_trusted(later)
        monkeypatch.setattr(process_epoch, "_begin", refuse)
        with pytest.raises(ServiceUnavailable):
            await process_epoch.turn()

    run(server, job)


@pytest.mark.django_db(transaction=True)
def test_redis_without_a_run_id_is_not_trusted(server: RedisServer) -> None:
    async def job(process_epoch: Epoch, client: RedisClient) -> None:
        client.run_id = ""
        assert not await process_epoch.is_trusted(monotonic())

    run(server, job)
