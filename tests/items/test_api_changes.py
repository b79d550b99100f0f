"""Conditional requests and concurrent changes, with two workers."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import httpx
import pytest

from tests.items.http import ITEMS, UNKNOWN, check_problem, create, path_of, run_concurrently
from tests.running_service import RunningService

CHANGES: list[tuple[str, Any]] = [("PUT", {"name": "new"}), ("PATCH", {"name": "new"}), ("DELETE", None)]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with RunningService(tmp_path_factory.mktemp("service"), workers=2) as running:
        yield running


@pytest.fixture
def item(me: httpx.Client) -> dict[str, Any]:
    return create(me, name="old")


def second_client(client: httpx.Client) -> httpx.Client:
    """Return a client of the same user with connections of its own, which another worker may accept."""
    return httpx.Client(base_url=client.base_url, headers=client.headers, timeout=60, trust_env=False)


def change(client: httpx.Client, item: dict[str, Any], method: str, body: Any, **headers: str) -> httpx.Response:
    return client.request(
        method, path_of(item), json=body, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


def test_unchanged_item_is_304(me: httpx.Client, item: dict[str, Any]) -> None:
    for method, tag in itertools.product(("GET", "HEAD"), ('"1"', 'W/"1"', '"0", "1"', "*")):
        response = change(me, item, method, None, if_none_match=tag)
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["etag"] == '"1"'
        assert response.headers["cache-control"] == "private, no-cache"
        assert "content-type" not in response.headers
    assert change(me, item, "GET", None, if_none_match='"2"').json() == item
    change(me, item, "PATCH", {"name": "new"})
    assert change(me, item, "GET", None, if_none_match='"1"').headers["etag"] == '"2"'


@pytest.mark.parametrize(("method", "body"), CHANGES)
def test_stale_if_match_is_412_and_changes_nothing(
    me: httpx.Client, item: dict[str, Any], method: str, body: Any
) -> None:
    for tag in ('"2"', 'W/"1"', '"0", W/"1"'):
        response = change(me, item, method, body, if_match=tag)
        check_problem(response, 412, "precondition-failed")
        assert response.headers["etag"] == '"1"'
    check_problem(change(me, item, method, body, if_match="1"), 400, "invalid-header")
    check_problem(change(me, item, method, body, if_none_match="*"), 412, "precondition-failed")
    assert me.get(path_of(item)).json() == item
    assert change(me, item, method, body, if_match='"0", "1"').status_code in (200, 204)


def test_preconditions_are_checked_last(service: RunningService, me: httpx.Client, item: dict[str, Any]) -> None:
    stale = {"if_match": '"9"'}
    check_problem(me.patch(UNKNOWN, json={"name": "x"}, headers={"If-Match": '"9"'}), 404, "not-found")
    check_problem(me.delete(UNKNOWN, headers={"If-Match": "*"}), 404, "not-found")
    check_problem(change(me, item, "PATCH", {"name": ""}, **stale), 422, "validation-error")
    check_problem(change(me, item, "PUT", {}, **stale), 422, "validation-error")
    with service.client() as anonymous:
        check_problem(change(anonymous, item, "PUT", {"name": "x"}, **stale), 401, "unauthorized")
    with closing(service.user()) as stranger:
        check_problem(change(stranger, item, "DELETE", None, **stale), 404, "not-found")


def test_missing_if_match_is_428_if_required(start: Callable[..., RunningService]) -> None:
    with closing(start(REQUIRE_IF_MATCH="true").user()) as me:
        item = create(me)
        for method, body in CHANGES:
            check_problem(change(me, item, method, body), 428, "precondition-required")
            check_problem(me.request(method, UNKNOWN, json=body), 404, "not-found")
        check_problem(change(me, item, "PATCH", {"name": ""}), 422, "validation-error")
        assert change(me, item, "PATCH", {"name": "new"}, if_match='"1"').json()["version"] == 2
        assert change(me, item, "DELETE", None, if_match="*").status_code == 204


@pytest.mark.parametrize(("method", "body"), CHANGES)
def test_one_of_many_changes_to_one_version_wins(me: httpx.Client, method: str, body: Any) -> None:
    clients = [second_client(me) for _ in range(12)]
    for _ in range(4):
        item = create(me)
        responses = run_concurrently(
            [partial(change, client, item, method, body, if_match='"1"') for client in clients]
        )
        statuses = sorted(response.status_code for response in responses)
        if method == "DELETE":
            assert statuses == [204] + [404] * 11
        else:
            assert statuses == [200] + [412] * 11
            assert {response.headers["etag"] for response in responses} == {'"2"'}
            assert me.get(path_of(item)).json()["version"] == 2
    for client in clients:
        client.close()


def test_concurrent_patches_leave_no_version_gaps_and_lose_no_change(me: httpx.Client, item: dict[str, Any]) -> None:
    clients = [second_client(me) for _ in range(8)]

    def count(number: int) -> list[int]:
        return [
            clients[number].patch(path_of(item), json={"metadata": {f"{number}-{turn}": turn}}).json()["version"]
            for turn in range(10)
        ]

    versions = [one for found in run_concurrently([partial(count, number) for number in range(8)]) for one in found]
    assert sorted(versions) == list(range(2, 82))
    final = me.get(path_of(item)).json()
    assert final["version"] == 81
    assert final["metadata"] == {f"{number}-{turn}": turn for number in range(8) for turn in range(10)}
    for client in clients:
        client.close()


def test_updated_at_always_increases(me: httpx.Client, item: dict[str, Any]) -> None:
    times = [item["updated_at"]]
    for turn in range(20):
        changed = me.patch(path_of(item), json={"name": f"{turn}"}).json()
        times.append(changed["updated_at"])
        assert changed["created_at"] == item["created_at"]
    assert times == sorted(set(times))


def test_concurrent_creates_and_deletes_keep_the_right_items(me: httpx.Client) -> None:
    clients = [second_client(me) for _ in range(8)]

    def churn(client: httpx.Client) -> set[str]:
        remaining = set()
        for turn in range(10):
            item = create(client, name=f"{turn}")
            if turn % 2:
                assert client.delete(path_of(item)).status_code == 204
            else:
                remaining.add(item["id"])
        return remaining

    remaining = set().union(*run_concurrently([partial(churn, client) for client in clients]))
    page = me.get(ITEMS, params={"limit": 100, "total": "true"}).json()
    assert {item["id"] for item in page["items"]} == remaining
    assert page["total"] == 40
    for client in clients:
        client.close()
