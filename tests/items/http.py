"""What tests of the API ask over and over."""

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import httpx

ITEMS = "/v1/items/"
UNKNOWN = "/v1/items/01980d2e-7c1a-7f3e-9c55-2b6f0d7e4a10"


def problem(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """The problem that an answer is."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    told: dict[str, Any] = answer.json()
    assert (told["type"], told["status"]) == (f"/problems/{slug}", status), told
    return told


def faults(answer: httpx.Response) -> set[tuple[str, str]]:
    """Where a request is not valid, and why."""
    told = problem(answer, 422, "validation-error")
    return {(fault.get("pointer") or fault["parameter"], fault["code"]) for fault in told["errors"]}


def create(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    """A new item."""
    answer = client.post(ITEMS, json={"name": "an item", **fields})
    assert answer.status_code == 201, answer.text
    item: dict[str, Any] = answer.json()
    return item


def path_of(item: dict[str, Any]) -> str:
    """An item's path."""
    return f"{ITEMS}{item['id']}"


def post_text(client: httpx.Client, text: str | bytes, **headers: str) -> httpx.Response:
    """Creates an item out of exactly this text."""
    return client.post(ITEMS, content=text, headers={"Content-Type": "application/json", **headers})


def patch(client: httpx.Client, item: dict[str, Any], change: Any) -> httpx.Response:
    """Sends a merge patch."""
    headers = {"Content-Type": "application/merge-patch+json"}
    return client.patch(path_of(item), content=json.dumps(change), headers=headers)


def at_once[T](calls: Iterable[Callable[[], T]]) -> list[T]:
    """Makes all calls at the same moment, each in a thread; their results in order."""
    calls = list(calls)
    barrier = Barrier(len(calls))

    def run(call: Callable[[], T]) -> T:
        barrier.wait(30)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))
