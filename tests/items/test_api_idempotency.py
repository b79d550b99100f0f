"""Idempotency-Key over HTTP, with two workers and kills."""

import threading
import time
from collections.abc import Callable, Iterator, Sized
from contextlib import closing
from functools import partial
from uuid import uuid4

import httpx
import pytest

from tests.items.http import ITEMS, check_problem, create, path_of, post_text, run_concurrently
from tests.running_service import RunningService
from tests.waiting import await_true

BODY = '{"name": "keyed"}'


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with RunningService(tmp_path_factory.mktemp("service"), workers=2) as running:
        yield running


def post(client: httpx.Client, key: str, body: str = BODY, **headers: str) -> httpx.Response:
    return post_text(client, body, **{"Idempotency-Key": key, **headers})


def await_length(found: Sized, length: int) -> None:
    await_true(lambda: len(found) >= length, "too few requests succeed")


def total(client: httpx.Client) -> int:
    count: int = client.get(ITEMS, params={"total": "true", "limit": 1}).json()["total"]
    return count


def test_repeated_key_replays_the_first_response(me: httpx.Client) -> None:
    key = uuid4().hex
    first = post(me, key)
    assert first.status_code == 201
    assert "idempotent-replayed" not in first.headers
    me.patch(first.headers["location"], json={"name": "changed since"})
    for repeated in (
        post(me, key),
        post(me, f'"{key}"'),
        me.post("/v1/items", content=BODY, headers=first.request.headers),
    ):
        assert repeated.headers["idempotent-replayed"] == "true"
        assert (repeated.status_code, repeated.content) == (201, first.content)
        for name in ("location", "etag", "content-type"):
            assert repeated.headers[name] == first.headers[name]
    assert total(me) == 1


def test_key_with_another_body_is_422(me: httpx.Client) -> None:
    key = uuid4().hex
    post(me, key)
    check_problem(post(me, key, '{"name": "other"}'), 422, "idempotency-mismatch")
    assert total(me) == 1


def test_malformed_key_is_400(me: httpx.Client) -> None:
    for key in ("", "two words", "x" * 256, '"open'):
        check_problem(post(me, key), 400, "invalid-header")
    twice = [("Idempotency-Key", "a"), ("Idempotency-Key", "a"), ("Content-Type", "application/json")]
    check_problem(me.post(ITEMS, content=BODY, headers=twice), 400, "invalid-header")
    assert total(me) == 0


@pytest.mark.parametrize(("body", "status"), [('{"name": ""}', 422), ('{"name": ', 400)])
def test_failed_request_does_not_use_the_key(me: httpx.Client, body: str, status: int) -> None:
    key = uuid4().hex
    assert post(me, key, body).status_code == status
    assert "idempotent-replayed" not in post(me, key).headers


def test_key_is_shared_by_a_user_and_their_api_keys(service: RunningService, me: httpx.Client) -> None:
    key = uuid4().hex
    first = post(me, key)
    created = me.post("/v1/auth/api-keys", json={"name": "k", "scopes": ["items:write"]}).json()
    with service.client(headers={"Authorization": f"Bearer {created['key']}"}) as by_key:
        assert post(by_key, key).content == first.content
    with closing(service.user()) as other:
        assert post(other, key).json()["id"] != first.json()["id"]


def test_expired_key_can_be_used_again(start: Callable[..., RunningService]) -> None:
    service = start(IDEMPOTENCY_TTL="1")
    with closing(service.user()) as me:
        first = post(me, "k")
        deadline = time.monotonic() + 20
        while (repeated := post(me, "k")).json()["id"] == first.json()["id"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert "idempotent-replayed" not in repeated.headers


@pytest.mark.slow
def test_64_concurrent_requests_with_one_key_create_one_item(service: RunningService, me: httpx.Client) -> None:
    key = uuid4().hex
    clients = [httpx.Client(base_url=service.url, headers=me.headers, timeout=60, trust_env=False) for _ in range(64)]
    responses = run_concurrently([partial(post, client, key) for client in clients])
    assert {response.status_code for response in responses} == {201}
    assert len({response.content for response in responses}) == 1
    assert sum("idempotent-replayed" not in response.headers for response in responses) == 1
    assert total(me) == 1
    for client in clients:
        client.close()


@pytest.mark.slow
def test_kills_during_keyed_requests_lose_and_duplicate_no_item(start: Callable[..., RunningService]) -> None:
    service = start(workers=2)
    me = service.user()
    sent: list[str] = []
    acknowledged: dict[str, str] = {}

    def stream(number: str) -> None:
        with httpx.Client(base_url=service.url, headers=me.headers, timeout=60, trust_env=False) as client:
            for turn in range(100_000):
                key = f"{number}-{turn}"
                sent.append(key)
                try:
                    response = post(client, key, f'{{"name": "{key}"}}')
                except httpx.TransportError:
                    return
                if response.status_code == 201:
                    acknowledged[key] = response.json()["id"]

    for turn in range(3):
        threads = [threading.Thread(target=stream, args=(f"{turn}-{number}",)) for number in range(6)]
        for thread in threads:
            thread.start()
        reached = len(acknowledged) + 30
        await_length(acknowledged, reached)
        service.kill()
        for thread in threads:
            thread.join()
        service.start()

    created = {}
    for key in sent:
        response = post(me, key, f'{{"name": "{key}"}}')
        created[key] = response.json()["id"]
        assert key not in acknowledged or response.headers["idempotent-replayed"] == "true"
    assert acknowledged.items() <= created.items()
    assert total(me) == len(sent), "each key has exactly one item"
    rows = dict(service.query("SELECT name, COUNT(*) FROM item GROUP BY name"))
    assert rows == dict.fromkeys(sent, 1)
    me.close()


def test_replay_does_not_recreate_a_deleted_item(me: httpx.Client) -> None:
    key = uuid4().hex
    first = post(me, key)
    assert me.delete(first.headers["location"]).status_code == 204
    assert post(me, key).content == first.content
    assert total(me) == 0
    assert me.get(path_of(first.json())).status_code == 404
    assert create(me)["version"] == 1
