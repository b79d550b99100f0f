"""Bounds for a connection, below HTTP: uvicorn by itself waits for ever, and keeps whatever a client calls a header.

A request's head must come within HEAD_TIMEOUT_SECONDS and be no larger than MAX_HEAD_BYTES, else it is answered 431.
Trailers are not headers (RFC 9110, section 6.5.1): uvicorn would add them to the list that the application sees, a
second X-Forwarded-For after the one of a trusted proxy. A client that does not take its answer is left.
"""

import asyncio
import logging

import orjson
from django.conf import settings
from uuid_utils import uuid7
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from core.http.problems import CONTENT_TYPE, HeadTooLarge
from core.http.security_headers import COMMON, NO_REFERRER, POLICY, TRANSPORT_SECURITY

HEAD_TIMEOUT_SECONDS = 10.0
# A client that takes nothing of its answer for so long is gone, or wants to be waited for.
WRITE_TIMEOUT_SECONDS = 60.0
MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 256

logger = logging.getLogger("agent_router.wire")


class BoundedProtocol(HttpToolsProtocol):
    """A connection. The usual request, whose head comes in one piece, costs it a few assignments and no timer."""

    _is_deaf = False
    """Whatever else comes is thrown away: the connection ends with the answer that is under way."""
    _in_head = False
    _has_whole_message = False
    _head_bytes = 0
    """What has come of a head: at most so much where it began amid other data, exactly so much where it did not."""
    _idle_bytes = 0
    """What has come in a row, once the head was there, without being part of the body: chunk extensions, trailers."""
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
        if self._is_deaf:
            return
        was_in_head, self._has_whole_message = self._in_head, False
        self._head_bytes = self._head_bytes + len(data) if was_in_head else len(data)
        body_bytes = len(self._latest.body) if self._latest else 0
        super().data_received(data)
        if self._in_head:
            self._start_head_timer()
            if was_in_head and self._head_bytes > MAX_HEAD_BYTES:
                self._refuse_head()
        elif not self._has_whole_message:
            self._look_at_progress(len(data), body_bytes)

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head, self._idle_bytes = False, 0
        self._stop_head_timer()
        if self._head_bytes > MAX_HEAD_BYTES or len(self.headers) > MAX_HEADERS:
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if size > MAX_HEAD_BYTES or len(self.headers) > MAX_HEADERS:
                self._refuse_head()
                raise ValueError("the head is too large")  # ends the parser's work on this data
        super().on_headers_complete()
        # The scope keeps the list of the headers; what comes now are trailers.
        self.headers = []
        if self.parser.should_upgrade():
            # The parser takes all that follows for another protocol's, a body too.
            self.cycle.keep_alive = False
            self._is_deaf = True

    def on_message_complete(self) -> None:
        self._has_whole_message = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """uvicorn's answer to what is not HTTP; once something is refused there is nothing to add."""
        if not self._is_deaf and not self._leave_to_request_before():
            self._is_deaf = True
            super().send_400_response(msg)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._write_timer is None:
            self._watch_writing()

    def resume_writing(self) -> None:
        self._stop_write_timer()
        super().resume_writing()

    @property
    def _latest(self) -> RequestResponseCycle | None:
        """The request whose head came last; None before the first."""
        return self.cycle

    def _should_upgrade(self) -> bool:
        """Only HTTP is served here, whatever is installed beside uvicorn."""
        return False

    def _look_at_progress(self, received: int, body_bytes: int) -> None:
        cycle = self._latest
        if cycle is None or not cycle.more_body:
            # Blank lines, which may come before a request.
            self._start_head_timer()
        elif len(cycle.body) > body_bytes or cycle.response_complete:
            self._idle_bytes = 0
        else:
            self._idle_bytes += received
            if self._idle_bytes > MAX_HEAD_BYTES:
                self.send_400_response("Too much that is not body.")

    def _leave_to_request_before(self) -> bool:
        """Whether another request is being answered. Its answer is the last: it must not get that to what follows."""
        latest = self._latest
        if latest is None or latest.response_complete or latest.more_body:
            return False
        self._is_deaf = True
        self._stop_head_timer()
        latest.keep_alive = False
        return True

    def _refuse_head(self) -> None:
        """431 and the end, as a problem: nothing else of the service will see this request."""
        if self._leave_to_request_before():
            return
        logger.warning("A request's head was too large", extra={"client": self.client[0] if self.client else None})
        self._is_deaf = True
        self._stop_head_timer()
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
        if self._head_timer is None and not self._is_deaf:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT_SECONDS, self._end_waiting)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _watch_writing(self) -> None:
        waiting = self.transport.get_write_buffer_size()

        def look() -> None:
            if self.transport.get_write_buffer_size() < waiting:
                self._watch_writing()
            else:
                self.transport.abort()

        self._write_timer = self.loop.call_later(WRITE_TIMEOUT_SECONDS, look)

    def _end_waiting(self) -> None:
        """The head did not come in time. A request before it still gets its answer, and is the last."""
        self._head_timer = None
        if not self._leave_to_request_before():
            self._is_deaf = True
            self.transport.close()


def bound_connections() -> None:
    """Has uvicorn make its connections bounded, by whatever command it is started: it has no setting for it."""

    def make(kind: type[HttpToolsProtocol], *_: object, **__: object) -> HttpToolsProtocol:
        return object.__new__(BoundedProtocol if kind is HttpToolsProtocol else kind)

    HttpToolsProtocol.__new__ = make  # type: ignore[assignment,method-assign]
