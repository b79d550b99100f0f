"""Helpers for tests that call the items API."""

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import httpx

ITEMS = "/v1/items/"
UNKNOWN = "/v1/items/01980d2e-7c1a-7f3e-9c55-2b6f0d7e4a10"


def check_problem(response: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """Assert that the response is this problem, and return its body."""
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json"), (
        response.text
    )
    body: dict[str, Any] = response.json()
    assert (body["type"], body["status"]) == (f"/problems/{slug}", status), body
    return body


def validation_errors(response: httpx.Response) -> set[tuple[str, str]]:
    """Return the pointer or parameter and the code of each validation error."""
    body = check_problem(response, 422, "validation-error")
    return {(error.get("pointer") or error["parameter"], error["code"]) for error in body["errors"]}


def create(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    response = client.post(ITEMS, json={"name": "an item", **fields})
    assert response.status_code == 201, response.text
    item: dict[str, Any] = response.json()
    return item


def path_of(item: dict[str, Any]) -> str:
    return f"{ITEMS}{item['id']}"


def post_text(client: httpx.Client, text: str | bytes, **headers: str) -> httpx.Response:
    """Create an item from exactly this request body."""
    return client.post(ITEMS, content=text, headers={"Content-Type": "application/json", **headers})


def patch(client: httpx.Client, item: dict[str, Any], change: Any) -> httpx.Response:
    headers = {"Content-Type": "application/merge-patch+json"}
    return client.patch(path_of(item), content=json.dumps(change), headers=headers)


def run_concurrently[T](calls: Iterable[Callable[[], T]]) -> list[T]:
    """Make all calls at the same moment, each in its own thread, and return their results in order."""
    calls = list(calls)
    barrier = Barrier(len(calls))

    def run(call: Callable[[], T]) -> T:
        barrier.wait(30)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))
