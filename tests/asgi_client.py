"""A client that calls the service's ASGI application as uvicorn does, without a socket."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.server.connection import EXTENSIONS


@dataclass(frozen=True, slots=True)
class Response:
    """A response. Header names are in lower case, and repeated headers are joined."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


def fetch(target: str, *, method: str = "GET", **headers: str) -> Response:
    """Return the response to a request without a body. Keywords are headers: `if_none_match='"1"'`."""
    sent = {"host": "localhost"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return asyncio.run(_fetch(target, method, sent))


async def _fetch(target: str, method: str, headers: Mapping[str, str]) -> Response:
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
        "extensions": EXTENSIONS,
    }
    messages: list[dict[str, Any]] = []

    unread = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if unread:
            return unread.pop()
        # The client neither sends more nor disconnects.
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    await application(scope, receive, send)
    start, *parts = messages
    response_headers: dict[str, str] = {}
    for raw_name, raw_value in start["headers"]:
        name, value = raw_name.decode().lower(), raw_value.decode("latin-1")
        response_headers[name] = f"{response_headers[name]}, {value}" if name in response_headers else value
    return Response(start["status"], response_headers, b"".join(part["body"] for part in parts))
