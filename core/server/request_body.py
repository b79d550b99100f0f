"""Reading request bodies from ASGI messages, within the limits of size and time."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

from django.conf import settings

from core.http.problems import RequestTimeout, ServiceUnavailable
from core.process.lifespan import Receive
from core.server.refusals import BodyRefused, body_too_large

# After a refusal, the service reads and drops the rest of the body for this long.
LINGER_SECONDS = 2.0
# Unfinished bodies may together take the memory of this many bodies of the largest size.
MAX_UNFINISHED_BODIES = 256


unfinished_bodies = SimpleNamespace(bytes=0)


class ClientDisconnected(Exception):
    """The client disconnected before its request was complete."""


async def read_body(headers: dict[bytes, bytes], receive: Receive) -> bytes:
    """Return the request's body. Raises BodyRefused as soon as it breaks a limit, and ClientDisconnected."""
    declared = headers.get(b"content-length", b"")
    # Python raises ValueError for a number of thousands of digits, and leading zeros are allowed.
    if declared.isdigit() and int(declared.lstrip(b"0")[:20] or b"0") > settings.MAX_BODY_BYTES:
        raise body_too_large(is_unread=True)
    # A list of small chunks would take many times the memory of their bytes.
    body = bytearray()
    try:
        async with asyncio.timeout(settings.BODY_TIMEOUT_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnected
                chunk: bytes = message.get("body", b"")
                is_last = not message.get("more_body", False)
                if len(body) + len(chunk) > settings.MAX_BODY_BYTES:
                    raise body_too_large(is_unread=not is_last)
                if is_last:
                    return bytes(body + chunk) if body else chunk
                body += chunk
                unfinished_bodies.bytes += len(chunk)
                if unfinished_bodies.bytes > MAX_UNFINISHED_BODIES * settings.MAX_BODY_BYTES:
                    problem = ServiceUnavailable("Too many request bodies are being received at once")
                    raise BodyRefused(problem, is_unread=True)
    except TimeoutError:
        raise BodyRefused(RequestTimeout(), is_unread=True) from None
    finally:
        unfinished_bodies.bytes -= len(body)


def has_disconnected(receive: Receive) -> bool:
    """Whether the client has disconnected, once its whole request has been read. Does not suspend."""
    receiving = cast("Coroutine[Any, Any, dict[str, Any]]", receive())
    try:
        receiving.send(None)
    except StopIteration as finished:
        return bool(finished.value["type"] == "http.disconnect")
    receiving.close()
    return False


async def discard_body(receive: Receive) -> None:
    """Drop the rest of a body. Closing with unread data resets a connection, and a response is lost (RFC 9112, 9.6)."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while (await receive()).get("more_body", False):
                pass
