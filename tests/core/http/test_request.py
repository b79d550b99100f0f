"""The request equals Django's, and builds expensive attributes on first use."""

from typing import Any

import pytest
from django.core.exceptions import BadRequest
from django.core.handlers.asgi import ASGIRequest
from hypothesis import given
from hypothesis import strategies as st

from core.http.request import Request

HEADERS = [
    (b"host", b"localhost:8000"),
    (b"user-agent", b"a test"),
    (b"x-more", b"one"),
    (b"x-more", b"two"),
    (b"x_more", b"spoofed"),
    (b"cookie", b"a=1; b=2"),
    (b"cookie", b"c=3"),
    (b"content-type", b"application/x-www-form-urlencoded; charset=utf-8"),
]
BODY = b"name=me&name=you&%C3%A9=%C3%BC"


def scope(**others: Any) -> dict[str, Any]:
    return {
        "type": "http", "method": "POST", "scheme": "https", "path": "/some/where", "query_string": b"a=1&a=2&b=",
        "headers": HEADERS, "client": ("10.0.0.1", 1234), "server": ("127.0.0.1", 8000), "root_path": "", **others,
    }  # fmt: skip


def make(body: bytes = BODY, **others: Any) -> Request:
    made = scope(**others)
    return Request(made, dict(made["headers"]), body)


def test_request_equals_djangos_request() -> None:
    from io import BytesIO

    ours, djangos = make(), ASGIRequest(scope(), BytesIO(BODY))
    ours.is_https = True  # the client_address middleware finds it out
    for name in (
        "META", "GET", "POST", "COOKIES", "FILES", "body", "path", "path_info", "method", "headers", "scheme",
        "content_type", "content_params", "encoding", "script_name",
    ):  # fmt: skip
        assert getattr(ours, name) == getattr(djangos, name), name
    assert ours.is_secure()
    assert not make().is_secure()
    assert ours.get_full_path() == djangos.get_full_path() == "/some/where?a=1&a=2&b="
    assert ours.build_absolute_uri() == "https://localhost:8000/some/where?a=1&a=2&b="
    assert repr(ours).replace("Request", "") == repr(djangos).replace("ASGIRequest", "")


@given(st.binary(max_size=50))
def test_any_query_string_is_parsed(query: bytes) -> None:
    assert make(query_string=query).GET is not None


def test_lines_of_a_list_header_are_joined() -> None:
    made = make()
    assert made.list_header(b"x-more") == b"one,two"
    assert made.list_header(b"user-agent") == b"a test"
    assert made.list_header(b"accept") is None


def test_attributes_are_built_on_first_use() -> None:
    request = make()
    assert not {"META", "GET", "headers", "COOKIES", "_post", "content_type", "content_params"} & set(vars(request))


def test_raw_headers_hold_the_last_line_of_each_name() -> None:
    request = make()
    assert request.raw_headers[b"x-more"] == b"two"
    assert request.header(b"x-more") == "two"
    assert request.header(b"x-none") is None
    assert Request(scope(), {b"x": b"\xff"}, b"").header(b"x") == "\xff"


def test_requests_do_not_share_state() -> None:
    one, other = make(), make()
    one.response_headers.append((b"a", b"b"))
    one.route_params["x"] = "y"
    assert (other.response_headers, other.route_params) == ([], {})
    assert (other.principal, other.route, other.refusal, other.prefetched, other.request_id) == (
        None,
        None,
        None,
        None,
        "",
    )


def test_client_may_have_no_address() -> None:
    assert make().client_ip == "10.0.0.1"
    assert make(client=None).client_ip == ""


def test_body_can_be_read_as_bytes_file_or_form() -> None:
    request = make()
    assert request.body == BODY
    assert request.POST.getlist("name") == ["me", "you"]
    assert make().read() == BODY
    boundary = (b"content-type", b"multipart/form-data; boundary=x")
    form = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n'
    sent = make(form, headers=[boundary, (b"content-length", str(len(form)).encode())])
    assert sent.POST.dict() == {"a": "b"}
    assert sent.content_params == {"boundary": "x"}
    sent.close()


def test_undecodable_query_is_a_bad_request() -> None:
    with pytest.raises(BadRequest):
        make(query_string=b"\xff").META  # noqa: B018
    assert make(query_string=b"a=%FF").META["QUERY_STRING"] == "a=%FF"
