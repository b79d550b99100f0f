"""Request bodies in, responses out, in ASGI messages."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, cast

from django.conf import settings

from core.http.problems import ContentTooLarge, Problem, RequestTimeout, ServiceUnavailable

type Receive = Callable[[], Awaitable[Any]]
type Send = Callable[[dict[str, Any]], Awaitable[None]]

# How long the rest of a body that was refused is still read, and thrown away.
LINGER_SECONDS = 2.0
# So many of the largest size may have begun to come; slow clients together must not fill the memory.
BODIES_AT_ONCE = 256


class _BegunBodies:
    """How much has come of bodies that are not whole yet."""

    bytes = 0


begun_bodies = _BegunBodies()


class ClientDisconnected(Exception):
    """The client left before its request was read."""


class BodyRefused(Exception):
    """Why a body was not taken, and whether there is more of it on the way."""

    def __init__(self, problem: Problem, *, is_unread: bool) -> None:
        super().__init__(problem.detail)
        self.problem, self.is_unread = problem, is_unread


async def read_body(headers: dict[bytes, bytes], receive: Receive) -> bytes:
    """The request's body, at most MAX_BODY_BYTES of it.

    Raises BodyRefused as soon as more is declared or has come, after BODY_TIMEOUT_SECONDS, or if too much of others
    is on its way; ClientDisconnected.
    """
    declared = headers.get(b"content-length", b"")
    # Python reads no number of thousands of digits, zeros among them.
    if declared.isdigit() and int(declared.lstrip(b"0")[:20] or b"0") > settings.MAX_BODY_BYTES:
        raise _too_large(is_unread=True)
    # In one piece: a list of many small chunks would take many times what they hold.
    begun = bytearray()
    try:
        async with asyncio.timeout(settings.BODY_TIMEOUT_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnected
                chunk: bytes = message.get("body", b"")
                is_last = not message.get("more_body", False)
                if len(begun) + len(chunk) > settings.MAX_BODY_BYTES:
                    raise _too_large(is_unread=not is_last)
                if is_last:
                    return bytes(begun + chunk) if begun else chunk
                begun += chunk
                begun_bodies.bytes += len(chunk)
                if begun_bodies.bytes > BODIES_AT_ONCE * settings.MAX_BODY_BYTES:
                    raise BodyRefused(ServiceUnavailable("Too much is being sent at once"), is_unread=True)
    except TimeoutError:
        raise BodyRefused(RequestTimeout(), is_unread=True) from None
    finally:
        begun_bodies.bytes -= len(begun)


def _too_large(*, is_unread: bool) -> BodyRefused:
    problem = ContentTooLarge(f"The body is larger than {settings.MAX_BODY_BYTES} bytes")
    return BodyRefused(problem, is_unread=is_unread)


def has_left(receive: Receive) -> bool:
    """Whether the client is gone, of a request that was read to its end. Takes no turn of the loop."""
    asking = cast("Coroutine[Any, Any, dict[str, Any]]", receive())
    try:
        asking.send(None)
    except StopIteration as told:
        return bool(told.value["type"] == "http.disconnect")
    asking.close()
    return False


async def discard_body(receive: Receive) -> None:
    """Reads on for a moment, and keeps nothing.

    A connection that is closed with data unread is reset, and may take the answer with it (RFC 9112, section 9.6).
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while (await receive()).get("more_body", False):
                pass
