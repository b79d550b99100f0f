"""Reading request bodies from ASGI messages, within the limits of size and time."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, cast

from django.conf import settings

from core.process.lifespan import Receive
from core.server.refusals import body_too_large, body_too_slow, too_many_bodies

# After a refusal, the rest of the body is read and thrown away for this long.
LINGER_SECONDS = 2.0
# Unfinished bodies may together take the memory of this many bodies of the largest size.
MAX_UNFINISHED_BODIES = 256


class _UnfinishedBodies:
    bytes = 0


unfinished_bodies = _UnfinishedBodies()


class ClientDisconnected(Exception):
    """The client disconnected before its request was complete."""


async def read_body(headers: dict[bytes, bytes], receive: Receive) -> bytes:
    """Return the request's body, of at most MAX_BODY_BYTES.

    Raises BodyRefused as soon as the body is too large, too slow, or too much for the memory of unfinished bodies,
    and ClientDisconnected.
    """
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
                    raise too_many_bodies()
    except TimeoutError:
        raise body_too_slow() from None
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
    """Read and drop the rest of a body for up to LINGER_SECONDS.

    Closing a connection with unread data resets it, and the client may lose the response (RFC 9112, section 9.6).
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while (await receive()).get("more_body", False):
                pass
