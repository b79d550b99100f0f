"""Limits that uvicorn does not have: on the time and size of a request's head, and on clients that read slowly.

docs/decisions/0007-connection-bounds.md explains each of them.
"""

import asyncio
import logging
from collections.abc import Mapping
from functools import cache
from typing import Any

import orjson
from django.conf import settings
from uuid_utils import uuid7
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from core.http.problems import CONTENT_TYPE, HeadTooLarge
from core.http.security_headers import COMMON, NO_REFERRER, POLICY, TRANSPORT_SECURITY

HEAD_TIMEOUT_SECONDS = 10.0
WRITE_TIMEOUT_SECONDS = 60.0
MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 256
# The ASGI extension that marks requests of a BoundedProtocol.
EXTENSION = "agent_router.bounded_connection"
EXTENSIONS: dict[str, dict[object, object]] = {EXTENSION: {}}

logger = logging.getLogger("agent_router.connection")


class BoundedProtocol(HttpToolsProtocol):
    """A connection with limits. A request whose head arrives in one piece starts no timer."""

    _ignores_input = False
    """Further input is discarded: the connection closes after the current response."""
    _in_head = False
    _message_ended = False
    """Whether the last data received ended a request."""
    _head_bytes = 0
    """At least the size of the current head: all data of its reads counts."""
    _bytes_without_body = 0
    """Received in a row after the head without adding to the body: chunk extensions and trailers."""
    _head_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        self._stop_write_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._ignores_input:
            return
        was_in_head, self._message_ended = self._in_head, False
        self._head_bytes = self._head_bytes + len(data) if was_in_head else len(data)
        body_bytes = len(self._latest.body) if self._latest else 0
        super().data_received(data)
        if self._in_head:
            self._start_head_timer()
            if was_in_head and self._head_bytes > MAX_HEAD_BYTES:
                self._refuse_head()
        elif not self._message_ended:
            self._limit_bytes_without_body(len(data), body_bytes)

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()
        self.scope["extensions"] = EXTENSIONS

    def on_headers_complete(self) -> None:
        self._in_head, self._bytes_without_body = False, 0
        self._stop_head_timer()
        if self._is_head_too_large():
            self._refuse_head()
            raise ValueError("The head is too large")  # stops the parser
        super().on_headers_complete()
        # Trailers must not be added to the headers that the application sees (RFC 9110, section 6.5.1).
        self.headers = []
        if self.parser.should_upgrade():
            # The parser takes everything that follows for another protocol.
            self.cycle.keep_alive = False
            self._ignores_input = True

    def on_message_complete(self) -> None:
        self._message_ended = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        if not self._ignores_input and not self._ignore_input():
            super().send_400_response(msg)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._write_timer is None:
            self._start_write_timer()

    def resume_writing(self) -> None:
        self._stop_write_timer()
        super().resume_writing()

    @property
    def _latest(self) -> RequestResponseCycle | None:
        return self.cycle  # None before the first request

    def _should_upgrade(self) -> bool:
        return False

    def _is_head_too_large(self) -> bool:
        if len(self.headers) > MAX_HEADERS:
            return True
        if self._head_bytes <= MAX_HEAD_BYTES:
            return False
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES

    def _limit_bytes_without_body(self, received: int, body_bytes: int) -> None:
        cycle = self._latest
        if cycle is None or not cycle.more_body:
            # The data were blank lines, which may precede a request.
            self._start_head_timer()
        elif len(cycle.body) > body_bytes or cycle.response_complete:
            self._bytes_without_body = 0
        else:
            self._bytes_without_body += received
            if self._bytes_without_body > MAX_HEAD_BYTES:
                self.send_400_response("Chunk extensions or trailers are too large.")

    def _ignore_input(self) -> bool:
        """Ignore further input. Return whether an earlier request is pending; its response closes the connection.

        A client would take a refusal sent now for that response.
        """
        self._ignores_input = True
        self._stop_head_timer()
        latest = self._latest
        if latest is None or latest.response_complete or latest.more_body:
            return False
        latest.keep_alive = False
        return True

    def _refuse_head(self) -> None:
        """Answer 431 as a problem, and close. The application never sees this request."""
        if self._ignore_input():
            return
        logger.warning("A request's head was too large", extra={"client": self.client[0] if self.client else None})
        request_id = str(uuid7())
        body = orjson.dumps(HeadTooLarge().members("", request_id))
        headers = [
            (b"content-type", CONTENT_TYPE.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            (b"cache-control", b"no-store"),
            (b"x-request-id", request_id.encode()),
            *(POLICY, NO_REFERRER, *COMMON),
            *([TRANSPORT_SECURITY] if settings.IS_PRODUCTION else []),
        ]
        lines = [b"HTTP/1.1 431 Request Header Fields Too Large", *(b": ".join(header) for header in headers)]
        self.transport.write(b"\r\n".join([*lines, b"", body]))
        self.transport.close()

    def _start_head_timer(self) -> None:
        if self._head_timer is None and not self._ignores_input:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT_SECONDS, self._on_head_timeout)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _on_head_timeout(self) -> None:
        self._head_timer = None
        if not self._ignore_input():
            self.transport.close()

    def _start_write_timer(self) -> None:
        unsent = self.transport.get_write_buffer_size()
        self._write_timer = self.loop.call_later(WRITE_TIMEOUT_SECONDS, self._on_write_timeout, unsent)

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _on_write_timeout(self, unsent_before: int) -> None:
        if self.transport.get_write_buffer_size() < unsent_before:
            self._start_write_timer()
        else:
            self.transport.abort()


def check_connection(scope: Mapping[str, Any]) -> None:
    """Log a warning, once in each process, if a request arrived over a connection without these limits."""
    if EXTENSION not in scope.get("extensions", ()):
        _warn_about_missing_limits()


@cache
def _warn_about_missing_limits() -> None:
    logger.warning(
        "Connections have no limits on slow clients and large heads. Start the service with `python manage.py serve`, "
        "or pass --http core.server.connection:BoundedProtocol to uvicorn"
    )
