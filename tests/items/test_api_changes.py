"""Changes that depend on a version, and many of them at once, over two workers."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import httpx
import pytest

from tests.items.http import ITEMS, UNKNOWN, at_once, create, path_of, problem
from tests.running_service import RunningService

CHANGES: list[tuple[str, Any]] = [("PUT", {"name": "new"}), ("PATCH", {"name": "new"}), ("DELETE", None)]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with RunningService(tmp_path_factory.mktemp("service"), workers=2) as running:
        yield running


@pytest.fixture
def item(me: httpx.Client) -> dict[str, Any]:
    return create(me, name="old")


def again(client: httpx.Client) -> httpx.Client:
    """The same user over connections of their own, which another worker may take."""
    return httpx.Client(base_url=client.base_url, headers=client.headers, timeout=60, trust_env=False)


def change(client: httpx.Client, item: dict[str, Any], method: str, body: Any, **headers: str) -> httpx.Response:
    return client.request(
        method, path_of(item), json=body, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


def test_not_modified(me: httpx.Client, item: dict[str, Any]) -> None:
    for method, tag in itertools.product(("GET", "HEAD"), ('"1"', 'W/"1"', '"0", "1"', "*")):
        answer = change(me, item, method, None, if_none_match=tag)
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == '"1"'
        assert answer.headers["cache-control"] == "private, no-cache"
        assert "content-type" not in answer.headers
    assert change(me, item, "GET", None, if_none_match='"2"').json() == item
    change(me, item, "PATCH", {"name": "new"})
    assert change(me, item, "GET", None, if_none_match='"1"').headers["etag"] == '"2"'


@pytest.mark.parametrize(("method", "body"), CHANGES)
def test_if_match(me: httpx.Client, item: dict[str, Any], method: str, body: Any) -> None:
    for tag in ('"2"', 'W/"1"', '"0", W/"1"'):
        answer = change(me, item, method, body, if_match=tag)
        problem(answer, 412, "precondition-failed")
        assert answer.headers["etag"] == '"1"'
    problem(change(me, item, method, body, if_match="1"), 400, "invalid-header")
    problem(change(me, item, method, body, if_none_match="*"), 412, "precondition-failed")
    assert me.get(path_of(item)).json() == item
    assert change(me, item, method, body, if_match='"0", "1"').status_code in (200, 204)


def test_conditions_come_last(service: RunningService, me: httpx.Client, item: dict[str, Any]) -> None:
    stale = {"if_match": '"9"'}
    problem(me.patch(UNKNOWN, json={"name": "x"}, headers={"If-Match": '"9"'}), 404, "not-found")
    problem(me.delete(UNKNOWN, headers={"If-Match": "*"}), 404, "not-found")
    problem(change(me, item, "PATCH", {"name": ""}, **stale), 422, "validation-error")
    problem(change(me, item, "PUT", {}, **stale), 422, "validation-error")
    with service.client() as anonymous:
        problem(change(anonymous, item, "PUT", {"name": "x"}, **stale), 401, "unauthorized")
    with closing(service.user()) as stranger:
        problem(change(stranger, item, "DELETE", None, **stale), 404, "not-found")


def test_if_match_may_be_required(start: Callable[..., RunningService]) -> None:
    with closing(start(REQUIRE_IF_MATCH="true").user()) as me:
        item = create(me)
        for method, body in CHANGES:
            problem(change(me, item, method, body), 428, "precondition-required")
            problem(me.request(method, UNKNOWN, json=body), 404, "not-found")
        problem(change(me, item, "PATCH", {"name": ""}), 422, "validation-error")
        assert change(me, item, "PATCH", {"name": "new"}, if_match='"1"').json()["version"] == 2
        assert change(me, item, "DELETE", None, if_match="*").status_code == 204


@pytest.mark.parametrize(("method", "body"), CHANGES)
def test_of_many_with_one_version_exactly_one_wins(me: httpx.Client, method: str, body: Any) -> None:
    clients = [again(me) for _ in range(12)]
    for _ in range(4):
        item = create(me)
        answers = at_once([partial(change, client, item, method, body, if_match='"1"') for client in clients])
        statuses = sorted(answer.status_code for answer in answers)
        if method == "DELETE":
            assert statuses == [204] + [404] * 11
        else:
            assert statuses == [200] + [412] * 11
            assert {answer.headers["etag"] for answer in answers} == {'"2"'}
            assert me.get(path_of(item)).json()["version"] == 2
    for client in clients:
        client.close()


def test_versions_have_no_gaps_and_no_change_is_lost(me: httpx.Client, item: dict[str, Any]) -> None:
    clients = [again(me) for _ in range(8)]

    def count(number: int) -> list[int]:
        return [
            clients[number].patch(path_of(item), json={"metadata": {f"{number}-{turn}": turn}}).json()["version"]
            for turn in range(10)
        ]

    versions = [one for found in at_once([partial(count, number) for number in range(8)]) for one in found]
    assert sorted(versions) == list(range(2, 82))
    final = me.get(path_of(item)).json()
    assert final["version"] == 81
    assert final["metadata"] == {f"{number}-{turn}": turn for number in range(8) for turn in range(10)}
    for client in clients:
        client.close()


def test_times_of_changes_only_grow(me: httpx.Client, item: dict[str, Any]) -> None:
    times = [item["updated_at"]]
    for turn in range(20):
        changed = me.patch(path_of(item), json={"name": f"{turn}"}).json()
        times.append(changed["updated_at"])
        assert changed["created_at"] == item["created_at"]
    assert times == sorted(set(times))


def test_creating_and_deleting_at_once(me: httpx.Client) -> None:
    clients = [again(me) for _ in range(8)]

    def churn(client: httpx.Client) -> set[str]:
        kept = set()
        for turn in range(10):
            item = create(client, name=f"{turn}")
            if turn % 2:
                assert client.delete(path_of(item)).status_code == 204
            else:
                kept.add(item["id"])
        return kept

    kept = set().union(*at_once([partial(churn, client) for client in clients]))
    page = me.get(ITEMS, params={"limit": 100, "total": "true"}).json()
    assert {item["id"] for item in page["items"]} == kept
    assert page["total"] == 40
    for client in clients:
        client.close()
