"""Requests that two servers may parse differently are refused, or have only one meaning (RFC 9112)."""

from collections.abc import Callable

import httpx
import pytest

from tests.running_service import RunningService
from tests.security.wire import HOST, exchange, head_of, statuses_of

POST = b"POST /v1/auth/login HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
# A response to this request shows that the service considers the previous request complete.
LAST = b"GET /health/live HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"

AMBIGUOUS = {
    "length and chunked": POST + b"Content-Length: 4\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
    "chunked and length": POST + CHUNKED + b"Content-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "one length twice": POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "a list of lengths": POST + b"Content-Length: 2, 2\r\n\r\n{}",
    "a signed length": POST + b"Content-Length: +2\r\n\r\n{}",
    "a negative length": POST + b"Content-Length: -2\r\n\r\n{}",
    "a length in hex": POST + b"Content-Length: 0x2\r\n\r\n{}",
    "a length beyond 64 bits": POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}",
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nHost: localhost\n\n",
    "a bare line feed": b"GET / HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n",
    "a carriage return in a value": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\rb\r\n\r\n",
    "a NUL in a value": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n",
    "a folded line": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
    "a chunk without a size": POST + CHUNKED + b"\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a chunk beyond 64 bits": POST + CHUNKED + b"\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "a chunk that is longer": POST + CHUNKED + b"\r\n1\r\n{}\r\n0\r\n\r\n",
    "chunks with line feeds": POST + CHUNKED + b"\r\n2\n{}\n0\n\n",
    "a method that is none": b"GEX / HTTP/1.1\r\n" + HOST + b"\r\n",
    "a later version": b"GET / HTTP/3.0\r\n" + HOST + b"\r\n",
    "a target without a path": b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n",
    "bytes beyond ASCII": b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n",
    "a backslash": b"GET \\v1\\items HTTP/1.1\r\n" + HOST + b"\r\n",
}
UNAMBIGUOUS = {
    "a chunk extension": POST + CHUNKED + b"\r\n2;name=value\r\n{}\r\n0\r\n\r\n",
    "trailers": POST + CHUNKED + b"\r\n2\r\n{}\r\n0\r\nCookie: a\r\nHost: elsewhere.example\r\n\r\n",
    "a length of many zeros": POST + b"Content-Length: " + b"0" * 5000 + b"2\r\n\r\n{}",
    "blank lines before": b"\r\n\r\n" + POST + b"Content-Length: 2\r\n\r\n{}",
    "a body that looks like a request": POST + b"Content-Length: %d\r\n\r\n" % len(LAST) + LAST,
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_ambiguous_request_is_400_and_closes_the_connection(service: RunningService, name: str) -> None:
    assert statuses_of(exchange(service, AMBIGUOUS[name] + LAST)) == [400]


@pytest.mark.parametrize("name", UNAMBIGUOUS)
def test_unusual_request_has_one_end(service: RunningService, name: str) -> None:
    found = statuses_of(exchange(service, UNAMBIGUOUS[name] + LAST))
    assert found in ([422, 200], [400, 200])


def test_credentials_in_trailers_are_ignored(service: RunningService, me: httpx.Client) -> None:
    token = str(me.headers["Authorization"]).encode()
    trailer = b"Authorization: " + token + b"\r\nX-Request-ID: trailed\r\n\r\n"
    received = exchange(
        service, POST.replace(b"login", b"logout") + CHUNKED + b"Connection: close\r\n\r\n0\r\n" + trailer
    )
    assert statuses_of(received) == [401]
    assert head_of(received)["x-request-id"] != "trailed"


def test_forwarded_addresses_in_trailers_are_ignored(start: Callable[..., RunningService]) -> None:
    """A client's trailers follow the headers that the trusted proxy adds."""
    service = start(TRUSTED_PROXIES="1")
    head = POST + CHUNKED + b"Connection: close\r\nX-Forwarded-For: 192.0.2.7\r\n"
    exchange(service, head + b"\r\n2\r\n{}\r\n0\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n")
    service.stop()  # the log is complete after the stop
    clients = {line.get("client") for line in service.log_lines() if line.get("route") == "/v1/auth/login"}
    assert clients == {"192.0.2.7"}


@pytest.mark.parametrize(
    "target",
    [
        b"//v1//items", b"/v1/./items", b"/health/../v1/items", b"/health/%2e%2e/v1/items", b"/v1/items;a=b",
        b"/V1/items", b"/v1%2fitems%2f%2e", b"/v1/%c0%afitems", b"//elsewhere.example/v1/items", b"/%76%31%2f%2fitems",
        b"/v1/items/%00", b"/v1/items/..%2f..%2fadmin", b"/static/../../etc/passwd", b"/static/%2e%2e/manage.py",
        b"/admin/..;/metrics", b"/v1/items%0d%0aX-Evil:%20y",
    ],
)  # fmt: skip
def test_other_spellings_of_a_path_do_not_match(service: RunningService, target: bytes) -> None:
    received = exchange(service, b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    location = head_of(received).get("location", "")
    assert statuses_of(received)[0] in (401, 404) or location.startswith("/admin/login/?next=/admin/")
    assert "x-evil" not in head_of(received)


@pytest.mark.parametrize(
    "hosts",
    [b"", b"Host: elsewhere.example\r\n", HOST + HOST, HOST + b"Host: elsewhere.example\r\n", b"Host: \r\n",
     b"Host: localhost@elsewhere.example\r\n", b"Host: localhost.elsewhere.example\r\n", b"Host: localhost:80a\r\n",
     b"Host: elsewhere.example\r\nX-Forwarded-Host: localhost\r\n"],
)  # fmt: skip
def test_unknown_host_is_400_on_every_path(service: RunningService, hosts: bytes) -> None:
    for path in (b"/", b"/health/live", b"/v1/items/", b"/admin/login/", b"/static/x.css", b"/nothing", b"/docs"):
        received = exchange(service, b"GET " + path + b" HTTP/1.1\r\n" + hosts + b"Connection: close\r\n\r\n")
        assert statuses_of(received) == [400], path
        assert b"elsewhere.example" not in received
