"""A warm service answers requests below /v1/ without new threads, connections or thread switches by Django."""

import asyncio
import json
import secrets
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import asgiref.sync
import httpx
import pytest

from core.database.pool import database
from core.process.draining import draining
from core.process.warm_up import WarmUp
from tests.databases import IS_POSTGRES
from tests.running_service import MEASURED, PASSWORD, RunningService
from tests.waiting import await_true

JSON = (b"content-type", b"application/json")


def descriptors(pid: int) -> set[tuple[str, str]]:
    """Return the open database files and sockets of a process."""
    found = set()
    for one in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(one.readlink())
        except OSError:  # closed meanwhile
            continue
        if target.startswith("socket:") or ".db" in target:
            found.add((one.name, target))
    return found


def mixed_requests(client: httpx.Client, rounds: int) -> None:
    for number in range(rounds):
        item = client.post("/v1/items/", json={"name": f"number {number}"}).json()
        path = f"/v1/items/{item['id']}"
        for method, target, body, status in (
            ("GET", path, None, 200),
            ("GET", "/v1/items/?total=true&q=number", None, 200),
            ("PUT", path, {"name": "new"}, 200),
            ("PATCH", path, {"metadata": {"a": 1}}, 200),
            ("POST", "/v1/items/", {"name": ""}, 422),
            ("GET", "/v1/items/nowhere", None, 404),
            ("GET", "/v1/auth/me", None, 200),
            ("DELETE", path, None, 204),
            ("OPTIONS", path, None, 204),
        ):
            answer = client.request(method, target, json=body)
            assert answer.status_code == status, (method, target, answer.text)


def test_running_service_makes_no_threads_and_no_connections(start: Callable[..., RunningService]) -> None:
    service = start(LOG_LEVEL="DEBUG", DB_POOL_SIZE="3", **MEASURED)
    assert service.process is not None
    pid = service.process.pid

    def is_connected() -> bool:
        return IS_POSTGRES or sum(target.endswith("app.db") for _, target in descriptors(pid)) == 4

    with closing(service.user()) as me:
        await_true(lambda: "Warmed up" in service.log)
        await_true(is_connected, "not all of its threads connect")
        mixed_requests(me, 3)
        tasks, connections = threads(pid), descriptors(pid)
        mixed_requests(me, 20)
        assert (threads(pid), descriptors(pid)) == (tasks, connections)


def threads(pid: int) -> set[str]:
    return {one.name for one in Path(f"/proc/{pid}/task").iterdir()}


class Counts:
    """Counts started threads and calls of asgiref's sync_to_async."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.threads = self.hops = 0
        start, hop = threading.Thread.start, asgiref.sync.SyncToAsync.__call__

        def counting_start(thread: threading.Thread) -> None:
            self.threads += 1
            start(thread)

        async def counting_hop(self_: Any, *args: Any, **kwargs: Any) -> Any:
            self.hops += 1
            return await hop(self_, *args, **kwargs)

        monkeypatch.setattr(threading.Thread, "start", counting_start)
        monkeypatch.setattr(asgiref.sync.SyncToAsync, "__call__", counting_hop)


async def call(method: str, path: str, body: Any = None, token: str = "") -> tuple[int, Any]:
    """Return the status and the JSON of one response."""
    from agent_router.asgi import application

    content = b"" if body is None else json.dumps(body).encode()
    headers = [(b"host", b"localhost"), (b"content-length", b"%d" % len(content)), JSON]
    headers += [(b"authorization", f"Bearer {token}".encode())] if token else []
    scope = {
        "type": "http", "http_version": "1.1", "method": method, "scheme": "http", "path": path,
        "raw_path": path.encode(), "query_string": b"", "headers": headers, "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80), "root_path": "",
    }  # fmt: skip
    sent: list[dict[str, Any]] = []
    unread = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if unread:
            return unread.pop()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await application(scope, receive, send)
    text = b"".join(message["body"] for message in sent[1:])
    return sent[0]["status"], json.loads(text) if text else None


async def round_of_calls(token: str) -> None:
    status, item = await call("POST", "/v1/items/", {"name": "one"}, token)
    assert status == 201
    path = f"/v1/items/{item['id']}"
    for method, target, body, expected in (
        ("GET", path, None, 200),
        ("GET", "/v1/items", None, 200),
        ("PATCH", path, {"name": "two"}, 200),
        ("PATCH", path, {"name": 2}, 422),
        ("GET", "/v1/nowhere", None, 404),
        ("PUT", "/v1/items/", None, 405),
        ("DELETE", path, None, 204),
    ):
        assert (await call(method, target, body, token))[0] == expected
    assert (await call("GET", "/v1/items/"))[0] == 401


@pytest.mark.django_db(transaction=True)
def test_requests_start_no_threads_and_do_not_switch_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    from agent_router.asgi import lifespan

    # A warm-up job starts a thread of its own, once.
    components = [component for component in lifespan.components if not isinstance(component, WarmUp)]
    monkeypatch.setattr(draining, "install", lambda: None)
    counts = Counts(monkeypatch)

    async def run() -> None:
        for component in components:
            await component.open()
        try:
            account = {"email": f"{secrets.token_hex(8)}@example.org", "password": PASSWORD}
            assert (await call("POST", "/v1/auth/register", account))[0] == 201
            token = (await call("POST", "/v1/auth/login", account))[1]["access_token"]
            await round_of_calls(token)
            counts.threads = counts.hops = 0
            for _ in range(5):
                await round_of_calls(token)
            assert (counts.threads, counts.hops) == (0, 0)
            # The admin runs in a thread, so the counter works.
            assert (await call("GET", "/admin/nowhere/"))[0] == 302
            assert counts.hops > 0
        finally:
            for component in reversed(components):
                await component.close()

    asyncio.run(run())
    assert database.stats() == {"size": 0, "jobs": 0}
