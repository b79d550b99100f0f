"""X-Request-ID and traceparent."""

import asyncio
import re

import pytest
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from hypothesis import given
from hypothesis import strategies as st

from core.http.request import Request
from core.middleware.request_id import parse_trace_id, request_id
from core.telemetry.logs import request_fields

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def run(*headers: tuple[bytes, bytes]) -> tuple[Request, dict[str, str]]:
    """Return the request and the log fields as a view sees them."""
    request = Request({"method": "GET", "path": "/", "headers": list(headers)}, dict(headers), b"")
    seen: dict[str, str] = {}

    async def view(request: Request) -> HttpResponseBase:
        seen.update(request_fields.get())
        return HttpResponse()

    async def main() -> None:
        await request_id(view)(request)

    asyncio.run(main())
    return request, seen


@pytest.mark.parametrize("sent", ["a", "A-Z_0.9", "x" * 128, "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000"])
def test_well_formed_id_is_accepted(sent: str) -> None:
    request, seen = run((b"x-request-id", sent.encode()))
    assert request.request_id == sent
    assert request.response_headers == [(b"x-request-id", sent.encode())]
    assert seen == {"correlation_id": sent, "request_id": sent}


@pytest.mark.parametrize(
    "sent", [b"", b"x" * 129, b"a b", b"a;b", b'{"a":1}', b"caf\xc3\xa9", b"a\tb", b"a\n", b"a\x00", b"a/b"]
)
def test_malformed_id_is_replaced(sent: bytes) -> None:
    request, seen = run((b"x-request-id", sent))
    assert UUID7.fullmatch(request.request_id)
    assert request.response_headers == [(b"x-request-id", request.request_id.encode())]
    assert seen["request_id"] == request.request_id


def test_missing_or_repeated_id_is_replaced() -> None:
    names = {run()[0].request_id, run()[0].request_id}
    names.add(run((b"x-request-id", b"one"), (b"x-request-id", b"two"))[0].request_id)
    assert len(names) == 3
    assert all(UUID7.fullmatch(name) for name in names)


@given(st.binary(max_size=150))
def test_sent_id_is_always_well_formed(sent: bytes) -> None:
    request, _ = run((b"x-request-id", sent))
    assert re.fullmatch(rb"[A-Za-z0-9._-]{1,128}", request.response_headers[0][1])


def test_trace_id_of_the_caller_is_logged() -> None:
    _, seen = run((b"traceparent", f"00-{TRACE}-{SPAN}-01".encode()))
    assert seen["trace_id"] == TRACE
    _, seen = run((b"traceparent", b"nonsense"))
    assert "trace_id" not in seen


@pytest.mark.parametrize(
    ("header", "is_valid"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", True),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-brings", True),
        (f"cc-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-01-more", False),
        (f"cc-{TRACE}-{SPAN}-01more", False),
        (f"ff-{TRACE}-{SPAN}-01", False),
        (f"00-{'0' * 32}-{SPAN}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE.upper()}-{SPAN}-01", False),
        (f"00-{TRACE}-{SPAN}", False),
        (f"00-{TRACE[:-1]}-{SPAN}-01", False),
        (f" 00-{TRACE}-{SPAN}-01", False),
        ("", False),
    ],
)
def test_traceparent_follows_w3c_trace_context(header: str, is_valid: bool) -> None:
    assert parse_trace_id(header.encode()) == (TRACE if is_valid else None)
