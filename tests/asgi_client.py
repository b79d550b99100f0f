"""Calls the service's ASGI application as uvicorn would, without a socket."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """What the application sent."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


def fetch(target: str, *, method: str = "GET", body: bytes = b"", **headers: str) -> Answer:
    """The answer to one request. Headers are named as keywords: `if_none_match='"1"'`."""
    sent = {"host": "localhost"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return asyncio.run(_fetch(target, method, body, sent))


async def _fetch(target: str, method: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    from agent_router.asgi import application

    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "root_path": "",
    }
    messages: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    await application(scope, receive, send)
    start, *parts = messages
    found = {name.decode().lower(): value.decode("latin-1") for name, value in start["headers"]}
    return Answer(start["status"], found, b"".join(part["body"] for part in parts))
