"""Request bodies and responses, over real connections."""

import asyncio
import socket
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any, NoReturn

import orjson
import pytest
from django.http import HttpResponse
from pytest_django import Settings

from core.http.request import Request
from core.process.draining import draining
from core.server.refusals import BodyRefused
from core.server.request_body import ClientDisconnected, discard_body, read_body, unfinished_bodies
from tests.core.server.served_handler import Client, ServedHandler
from tests.waiting import await_true

LIMIT = 100_000


async def echo(request: Request) -> HttpResponse:
    return HttpResponse(request.body, content_type="text/plain")


async def odd_length(request: Request) -> HttpResponse:
    return HttpResponse(b"a body", status=int(request.scope["query_string"]))


async def injecting(request: Request) -> HttpResponse:
    return HttpResponse(headers={"X-Echo": "a\r\nX-Injected: b"})


async def injecting_raw(request: Request) -> HttpResponse:
    request.response_headers.append((b"x-echo", b"a\r\nx-injected: b"))
    return HttpResponse()


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    settings.MAX_BODY_BYTES = LIMIT
    settings.BODY_TIMEOUT_SECONDS = 0.3
    views = {
        "POST /echo": echo,
        "GET /echo": echo,
        "GET /odd": odd_length,
        "GET /injecting": injecting,
        "GET /injecting-raw": injecting_raw,
    }
    with ServedHandler(views) as served, served.connect() as connection:
        yield connection
        connection.close()


def chunked(*sizes: int) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (size, b"x" * size) for size in sizes)


def send_for_ever(client: Client) -> NoReturn:
    while True:
        client.send(chunked(50_000))


POST_CHUNKED = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_bodies_up_to_the_limit_are_read_whole(client: Client) -> None:
    for size in (0, 1, 65536, LIMIT):
        client.request("POST", "/echo", body=b"x" * size)
        status, _, body = client.response()
        assert (status, len(body)) == (200, size)
    client.send(POST_CHUNKED + chunked(10, LIMIT - 10, 0))
    assert client.response()[::2] == (200, b"x" * LIMIT)


@pytest.mark.parametrize(("digits", "status"), [(b"5", 200), (b"9" * 10, 413)])
def test_content_length_may_have_leading_zeros(client: Client, digits: bytes, status: int) -> None:
    zeros = b"0" * 5000
    client.send(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + zeros + digits + b"\r\n\r\nhello")
    assert client.response()[0] == status


def test_declared_body_over_the_limit_is_refused_unread(client: Client) -> None:
    client.send(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (LIMIT + 1))
    status, headers, body = client.response()
    assert (status, headers["connection"]) == (413, "close")
    assert headers["content-type"] == "application/problem+json"
    assert orjson.loads(body)["request_id"] == headers["x-request-id"]
    # Data that the client has already sent must not reset the connection.
    client.send(b"x" * 50_000)
    client.socket.shutdown(socket.SHUT_WR)
    assert client.rest() == b""


def test_chunked_body_is_refused_as_soon_as_it_is_too_large(client: Client) -> None:
    client.send(POST_CHUNKED + chunked(LIMIT, 1))
    status, headers, _ = client.response()
    assert (status, headers["connection"]) == (413, "close")
    client.send(b"0\r\n\r\n")
    assert client.rest() == b""


def test_connection_stays_open_after_a_complete_body_that_was_too_large(client: Client) -> None:
    client.send(POST_CHUNKED + chunked(LIMIT + 1, 0))
    assert client.response()[0] == 413
    client.request("POST", "/echo", body=b"again")
    assert client.response()[::2] == (200, b"again")


def test_client_that_never_stops_sending_is_cut_off(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.server.request_body.LINGER_SECONDS", 0.2)
    client.send(POST_CHUNKED + chunked(LIMIT, 1))
    assert client.response()[0] == 413
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        send_for_ever(client)


def test_slow_body_gets_408(client: Client) -> None:
    began = time.monotonic()
    client.send(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n12345")
    status, headers, body = client.response()
    assert 0.25 < time.monotonic() - began < 5
    assert (status, headers["connection"]) == (408, "close")
    assert orjson.loads(body)["type"] == "/problems/request-timeout"
    client.send(b"6")
    client.socket.shutdown(socket.SHUT_WR)
    assert client.rest() == b""


def test_unfinished_bodies_share_a_memory_limit(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MAX_BODY_BYTES = LIMIT
    monkeypatch.setattr("core.server.request_body.MAX_UNFINISHED_BODIES", 1)
    with ServedHandler({"POST /echo": echo}) as served, served.connect() as first, served.connect() as second:
        first.send(POST_CHUNKED + chunked(60_000))
        await_true(lambda: unfinished_bodies.bytes == 60_000)
        second.send(POST_CHUNKED + chunked(60_000))
        status, headers, _ = second.response()
        assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
        first.send(chunked(10, 0))
        assert first.response()[::2] == (200, b"x" * 60_010)
        assert unfinished_bodies.bytes == 0
        first.send(POST_CHUNKED + chunked(90_000, 10_000, 0))
        assert first.response()[0] == 200


def test_100_continue_is_sent_only_for_an_accepted_body(client: Client) -> None:
    client.request("POST", "/echo", headers="Expect: 100-continue\r\nContent-Length: 2\r\n")
    assert client.head() == (100, {})
    client.send(b"ok")
    assert client.response()[::2] == (200, b"ok")
    client.request("POST", "/echo", headers=f"Expect: 100-continue\r\nContent-Length: {LIMIT + 1}\r\n")
    status, headers, _ = client.response()
    # The client may send the body nevertheless, and the server could mistake it for a request.
    assert (status, headers["connection"]) == (413, "close")


def test_host_check_precedes_the_refusal_of_a_body(client: Client) -> None:
    client.send(b"POST /nowhere HTTP/1.1\r\nHost: elsewhere\r\nContent-Length: %d\r\n\r\n" % (LIMIT + 1))
    status, headers, body = client.response()
    assert (status, orjson.loads(body)["type"]) == (400, "/problems/host-not-allowed")
    assert headers["connection"] == "close"


def test_pipelined_requests_with_bodies_stay_in_order(client: Client) -> None:
    client.request("GET", "/echo", body=b"one")
    client.request("GET", "/echo")
    client.request("POST", "/echo", body=b"three")
    assert [client.response()[2] for _ in range(3)] == [b"one", b"", b"three"]


@pytest.mark.parametrize("status", [204, 304])
def test_204_and_304_have_no_body(client: Client, status: int) -> None:
    client.request("GET", f"/odd?{status}")
    got, headers = client.head()
    assert got == status
    assert not {"content-length", "transfer-encoding"} & set(headers)
    client.request("GET", "/echo")
    assert client.response()[0] == 200


def test_head_has_the_content_length_and_no_body(client: Client) -> None:
    client.request("HEAD", "/echo", body=b"12345")
    status, headers, _ = client.response(has_body=False)
    assert (status, headers["content-length"]) == (200, "5")
    client.request("GET", "/echo")
    assert client.response()[0] == 200


def test_response_headers_cannot_be_injected(client: Client) -> None:
    client.request("GET", "/injecting")
    status, headers, _ = client.response()
    assert status == 500
    assert "x-injected" not in headers
    client.request("GET", "/injecting-raw")
    assert b"x-injected" not in client.rest()


def test_draining_closes_connections_after_their_responses(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.request("GET", "/echo")
    assert "connection" not in client.response()[1]
    monkeypatch.setattr(draining, "is_draining", True)
    client.request("GET", "/echo")
    assert client.response()[1]["connection"] == "close"
    assert client.rest() == b""


class Messages:
    """An ASGI `receive` that counts its calls."""

    def __init__(self, *bodies: bytes, then: dict[str, Any] | None = None) -> None:
        self.waiting = [{"type": "http.request", "body": body, "more_body": True} for body in bodies]
        self.waiting.append(then or {"type": "http.request", "body": b"", "more_body": False})
        self.taken = 0

    async def __call__(self) -> dict[str, Any]:
        self.taken += 1
        return self.waiting.pop(0)


def test_refused_body_is_not_read_further(settings: Settings) -> None:
    settings.MAX_BODY_BYTES = 10
    declared, streamed = Messages(b"x"), Messages(*[b"12345"] * 100)
    with pytest.raises(BodyRefused):
        asyncio.run(read_body({b"content-length": b"11"}, declared))
    with pytest.raises(BodyRefused):
        asyncio.run(read_body({b"transfer-encoding": b"chunked"}, streamed))
    assert (declared.taken, streamed.taken) == (0, 3)


def test_disconnect_during_the_body_raises() -> None:
    with pytest.raises(ClientDisconnected):
        asyncio.run(read_body({}, Messages(b"some", then={"type": "http.disconnect"})))


def test_discarded_body_takes_no_memory() -> None:
    left = 1000

    async def receive() -> dict[str, Any]:
        nonlocal left
        left -= 1
        return {"type": "http.request", "body": bytes(100_000), "more_body": left > 0}

    tracemalloc.start()
    try:
        asyncio.run(discard_body(receive))
        assert left == 0
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
