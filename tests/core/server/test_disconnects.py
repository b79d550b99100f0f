"""Disconnecting clients and streamed responses, over real connections."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from threading import Event

import pytest
from django.core.signals import request_finished
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from pytest_django import Settings

from core.http.request import Request
from core.server import handler
from core.telemetry.logs import request_fields
from tests.core.server.served_handler import SECONDS, Client, ServedHandler
from tests.waiting import await_true

CHUNKS = 5


class Views:
    """Views that wait for the test and record how they end."""

    def __init__(self) -> None:
        self.began, self.finished, self.cancelled, self.closed, self.go_on = (Event() for _ in range(5))
        self.pieces = 0

    async def wait(self, request: Request) -> HttpResponse:
        self.began.set()
        try:
            while not self.go_on.is_set():  # noqa: ASYNC110  set by another thread
                await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        self.finished.set()
        return HttpResponse(b"done")

    async def _pieces(self, end: int | None) -> AsyncIterator[bytes]:
        try:
            while end is None or self.pieces < end:
                self.pieces += 1
                yield b"piece %d" % self.pieces
                await asyncio.sleep(0.005)
        finally:
            self.closed.set()

    async def stream(self, request: Request) -> StreamingHttpResponse:
        return StreamingHttpResponse(self._pieces(CHUNKS), content_type="text/plain")

    async def endless(self, request: Request) -> StreamingHttpResponse:
        return StreamingHttpResponse(self._pieces(None), content_type="text/plain")

    async def flood(self, request: Request) -> StreamingHttpResponse:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield bytes(1_000_000)
            finally:
                self.closed.set()

        return StreamingHttpResponse(pieces())

    async def broken(self, request: Request) -> StreamingHttpResponse:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"the first"
            raise RuntimeError("in the middle")

        return StreamingHttpResponse(pieces())


@pytest.fixture
def views() -> Views:
    return Views()


@pytest.fixture
def served(views: Views, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedHandler]:
    monkeypatch.setattr(handler, "WATCH_AFTER_SECONDS", 0.02)
    routes: dict[str, Callable[..., object]] = {
        "GET /wait": views.wait,
        "POST /wait": views.wait,
        "GET /stream": views.stream,
        "GET /endless": views.endless,
        "POST /endless": views.endless,
        "GET /flood": views.flood,
        "GET /broken": views.broken,
    }
    with ServedHandler(routes) as running:
        yield running


@pytest.fixture
def client(served: ServedHandler) -> Iterator[Client]:
    with served.connect() as connection:
        yield connection


def test_read_is_cancelled_when_its_client_disconnects(served: ServedHandler, client: Client, views: Views) -> None:
    client.request("GET", "/wait")
    assert views.began.wait(SECONDS)
    client.close()
    assert views.cancelled.wait(SECONDS)
    await_true(lambda: served.tasks() == 0)


def test_change_is_finished_when_its_client_disconnects(served: ServedHandler, client: Client, views: Views) -> None:
    client.request("POST", "/wait", body=b"{}")
    await_true(lambda: served.tasks() == 2)  # the request and what watches its client
    client.close()
    await_true(lambda: served.tasks() == 1)
    views.go_on.set()
    assert views.finished.wait(SECONDS)
    assert not views.cancelled.is_set()
    await_true(lambda: served.tasks() == 0)


def test_patient_client_gets_a_slow_response_and_keeps_its_connection(client: Client, views: Views) -> None:
    for method in ("GET", "POST"):
        views.began.clear()
        views.go_on.clear()
        client.request(method, "/wait", body=b"{}")
        assert views.began.wait(SECONDS)
        assert not views.cancelled.wait(0.1)
        views.go_on.set()
        assert client.response()[::2] == (200, b"done")


def test_cancelled_request_is_logged_without_an_error(
    client: Client, views: Views, caplog: pytest.LogCaptureFixture
) -> None:
    client.request("GET", "/wait")
    assert views.began.wait(SECONDS)
    client.close()
    await_true(lambda: [one for one in caplog.records if hasattr(one, "access_fields")])
    [record] = [one for one in caplog.records if hasattr(one, "access_fields")]
    assert record.access_fields["status"] == 499
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]


def test_disconnect_during_the_body_leaves_no_task(
    served: ServedHandler, views: Views, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        with served.connect() as client:
            client.send(b"POST /wait HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n123")
    await_true(lambda: served.server.server_state.connections == set())
    await_true(lambda: served.tasks() == 0)
    assert not views.began.is_set()
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]


def test_pipelined_request_is_answered_after_a_slow_one(client: Client, views: Views) -> None:
    client.request("GET", "/wait")
    assert views.began.wait(SECONDS)
    client.request("GET", "/stream")
    assert not views.cancelled.wait(0.1)
    views.go_on.set()
    assert client.response()[2] == b"done"
    assert client.response()[2].startswith(b"piece 1")


def test_stream_is_sent_chunk_by_chunk(client: Client, views: Views) -> None:
    client.request("GET", "/stream")
    status, headers = client.head()
    assert (status, headers["transfer-encoding"]) == (200, "chunked")
    assert [client.chunk() for _ in range(CHUNKS + 1)] == [b"piece %d" % n for n in range(1, CHUNKS + 1)] + [b""]
    assert views.closed.wait(SECONDS)
    client.request("GET", "/stream")
    assert client.response()[0] == 200


def test_head_does_not_run_a_stream(client: Client, views: Views) -> None:
    client.request("HEAD", "/endless")
    assert client.response(has_body=False)[0] == 200
    client.request("GET", "/stream")
    assert client.response()[0] == 200
    assert views.pieces == CHUNKS


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_stream_ends_when_its_client_disconnects(
    served: ServedHandler, client: Client, views: Views, method: str
) -> None:
    client.request(method, "/endless")
    client.head()
    client.chunk()
    client.close()
    assert views.closed.wait(SECONDS)
    await_true(lambda: served.tasks() == 0)


def test_stream_waits_for_a_client_that_does_not_read(served: ServedHandler, client: Client, views: Views) -> None:
    client.request("GET", "/flood")
    client.head()
    assert not views.closed.wait(0.2)
    client.close()
    assert views.closed.wait(SECONDS)
    await_true(lambda: served.tasks() == 0)


class Errors(logging.Handler):
    """Collects each logged error with its request id."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append((request_fields.get().get("request_id", ""), str(record.exc_info)))


@pytest.fixture
def errors() -> Iterator[Errors]:
    handler = Errors()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


def test_broken_stream_is_cut_off_and_logged(client: Client, errors: Errors) -> None:
    client.request("GET", "/broken")
    _, headers = client.head()
    assert client.chunk() == b"the first"
    # The final empty chunk is missing, so the client knows that the body is incomplete.
    assert client.rest() == b""
    [(request_id, error)] = errors.found
    assert request_id == headers["x-request-id"]
    assert "in the middle" in error


def test_no_request_leaves_a_task(served: ServedHandler, views: Views) -> None:
    views.go_on.set()
    with served.connect() as client:
        for _ in range(20):
            for method, path in (("GET", "/wait"), ("POST", "/wait"), ("GET", "/stream"), ("GET", "/nowhere")):
                client.request(method, path)
                client.response()
        await_true(lambda: served.tasks() == 0)


def slow_page(request: HttpRequest) -> HttpResponse:
    time.sleep(0.1)
    return HttpResponse(b"a page")


urlpatterns = [path("static/slow", slow_page)]


@pytest.mark.django_db
def test_django_gets_the_signal_at_the_end_of_a_slow_request(
    settings: Settings, served: ServedHandler, client: Client, errors: Errors
) -> None:
    """Django closes old connections on this signal. Cancelling the watcher must not interrupt it."""
    settings.ROOT_URLCONF = __name__
    signalled = Event()

    def note(**_: object) -> None:
        time.sleep(0.05)
        signalled.set()

    request_finished.connect(note)
    try:
        client.request("GET", "/static/slow")
        assert client.response()[::2] == (200, b"a page")
        assert signalled.wait(SECONDS)
        await_true(lambda: served.tasks() == 0)
    finally:
        request_finished.disconnect(note)
    assert errors.found == []
