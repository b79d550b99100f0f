"""Limits of a connection, over real sockets."""

import socket
import time
from collections.abc import Iterator

import pytest
from django.http import HttpResponse

from core.http.request import Request
from core.server import connection
from tests.core.server.served_handler import ServedHandler

HEAD = b"GET /seen HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /seen HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
SHORT = 0.2


async def seen(request: Request) -> HttpResponse:
    """Respond with the names of the headers that the application sees."""
    names = b" ".join(name for name, _ in request.scope["headers"])
    return HttpResponse(names, headers={"X-Body": request.body.decode()})


async def large(request: Request) -> HttpResponse:
    return HttpResponse(b"x" * 20_000_000)


@pytest.fixture
def served() -> Iterator[ServedHandler]:
    with ServedHandler({"GET /seen": seen, "POST /seen": seen, "GET /large": large}) as served:
        yield served


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch, served: ServedHandler) -> ServedHandler:
    monkeypatch.setattr(connection, "HEAD_TIMEOUT_SECONDS", SHORT)
    monkeypatch.setattr(connection, "WRITE_TIMEOUT_SECONDS", SHORT)
    return served


def connect(served: ServedHandler) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.port), timeout=20)


def read_to_the_end(connection: socket.socket) -> bytes:
    """Read until the other side closes or resets the connection."""
    received = b""
    try:
        while data := connection.recv(65_536):
            received += data
    except ConnectionError:
        pass
    return received


def exchange(served: ServedHandler, data: bytes) -> bytes:
    """Send data whose last request closes the connection, and return everything received."""
    with connect(served) as connection:
        connection.sendall(data)
        return read_to_the_end(connection)


LAST = b"GET /seen HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def test_trailers_are_not_headers(served: ServedHandler) -> None:
    trailer = b"X-Forwarded-For: 192.0.2.1\r\nAuthorization: Bearer x\r\n\r\n"
    answer = exchange(served, POST + b"\r\n2\r\nhi\r\n0\r\n" + trailer + LAST)
    assert answer.count(b"HTTP/1.1 200") == 2
    assert b"x-body: hi" in answer
    assert b"host transfer-encoding" in answer
    assert b"forwarded" not in answer
    assert b"authorization" not in answer


def test_head_larger_than_the_limit_is_refused(served: ServedHandler) -> None:
    room = connection.MAX_HEAD_BYTES - len(b"/seen" + b"hostlocalhost" + b"connectionclose" + b"x")
    assert exchange(served, LAST[:-2] + b"X: " + b"a" * room + b"\r\n\r\n").startswith(b"HTTP/1.1 200")
    answer = exchange(served, LAST[:-2] + b"X: " + b"a" * (room + 1) + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 431")
    assert b"application/problem+json" in answer
    assert b"/problems/head-too-large" in answer
    assert b"x-content-type-options: nosniff" in answer
    assert b"connection: close" in answer


def test_too_many_headers_are_refused(served: ServedHandler) -> None:
    few = b"a: b\r\n" * (connection.MAX_HEADERS - 2)
    assert exchange(served, LAST[:-2] + few + b"\r\n").startswith(b"HTTP/1.1 200")
    assert exchange(served, LAST[:-2] + few + b"a: b\r\n\r\n").startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize(
    "beginning",
    [
        HEAD + b"X: ",
        b"GET /seen?",
        HEAD + b"X-Name-Without-End",
        b"\r\n" + HEAD + b"X: ",
        POST + b"\r\n0\r\nX-Trailer: ",
        POST + b"\r\n1;",
        POST + b"\r\n1\r\na\r\n0000",
    ],
)
def test_endless_input_is_cut_off_soon(served: ServedHandler, beginning: bytes) -> None:
    sent, piece = 0, b"0" * 16_384
    with connect(served) as connection:
        connection.sendall(beginning)
        try:
            while sent < 50_000_000:
                connection.sendall(piece)
                sent += len(piece)
        except ConnectionError:
            pass
    # The buffers of both sockets hold part of the data.
    assert sent < 40_000_000


def test_head_may_arrive_byte_by_byte(served: ServedHandler) -> None:
    with connect(served) as connection:
        for byte in b"\r\n" + LAST:
            connection.sendall(bytes([byte]))
        assert read_to_the_end(connection).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("sent", [b"", b"GET /seen HT", HEAD, HEAD + b"X: a\r\n", b"\r\n\r\n", LAST[:-2]])
def test_late_head_closes_the_connection(hurried: ServedHandler, sent: bytes) -> None:
    with connect(hurried) as connection:
        connection.sendall(sent)
        assert read_to_the_end(connection) == b""


def test_trickle_does_not_keep_a_connection(hurried: ServedHandler) -> None:
    began = time.monotonic()
    with connect(hurried) as connection:
        connection.sendall(HEAD)
        connection.settimeout(SHORT / 20)
        while time.monotonic() < began + 20:
            try:
                connection.sendall(b"X: a\r\n")
                if not connection.recv(1):
                    return
            except TimeoutError:
                continue
            except ConnectionError:
                return
    pytest.fail("the connection is still open")


def test_second_head_has_a_timeout_too(hurried: ServedHandler) -> None:
    with connect(hurried) as connection:
        connection.sendall(HEAD + b"\r\n" + HEAD)
        answer = read_to_the_end(connection)
    assert answer.count(b"HTTP/1.1 200") == 1


def test_client_that_does_not_read_is_disconnected(hurried: ServedHandler) -> None:
    with connect(hurried) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(5 * SHORT)
        assert len(read_to_the_end(connection)) < 20_000_000


def test_slow_reader_receives_the_whole_response(hurried: ServedHandler) -> None:
    with connect(hurried) as connection:
        # With a large buffer the kernel takes megabytes at once, and then nothing until the client has read them.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 262_144)
        connection.sendall(LAST.replace(b"/seen", b"/large"))
        head, _, body = connection.recv(65_536).partition(b"\r\n\r\n")
        received = len(body)
        # Reading takes several times WRITE_TIMEOUT_SECONDS.
        while data := connection.recv(100_000):
            received += len(data)
            time.sleep(0.005)
    assert (head[:12], received) == (b"HTTP/1.1 200", 20_000_000)


@pytest.mark.parametrize("next_one", [b"not HTTP\r\n\r\n", HEAD + b"X: " + b"a" * 70_000 + b"\r\n\r\n"])
def test_refusal_is_not_sent_as_response_to_an_earlier_request(served: ServedHandler, next_one: bytes) -> None:
    answer = exchange(served, HEAD + b"\r\n" + next_one)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answer


@pytest.mark.parametrize("protocol", [b"websocket", b"h2c", b"anything"])
def test_upgrade_is_ignored_and_following_data_is_not_a_request(served: ServedHandler, protocol: bytes) -> None:
    upgrade = b"Connection: Upgrade\r\nUpgrade: " + protocol + b"\r\n"
    answer = exchange(served, HEAD + upgrade + b"\r\n" + LAST)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count(b"HTTP/1.1") == 1
    assert b"connection: close" in answer
    body = b"Content-Length: 2\r\n\r\nhi"
    answer = exchange(served, HEAD.replace(b"GET", b"POST") + upgrade + body + LAST)
    assert answer.count(b"HTTP/1.1") == 1


def test_requests_over_bounded_connections_cause_no_warning(
    served: ServedHandler, caplog: pytest.LogCaptureFixture
) -> None:
    assert exchange(served, LAST).startswith(b"HTTP/1.1 200")
    assert "Connections have no limits" not in caplog.text


def test_request_over_another_connection_is_warned_about_once(caplog: pytest.LogCaptureFixture) -> None:
    connection._warn_about_missing_limits.cache_clear()
    scopes: list[dict[str, object]] = [{}, {"extensions": {}}, {"extensions": {"http.response.push": {}}}]
    for scope in scopes:
        connection.check_connection(scope)
    assert caplog.text.count("Connections have no limits") == 1
    assert "manage.py serve" in caplog.text
