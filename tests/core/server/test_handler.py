"""Routes, views, middleware and their exceptions, over real connections."""

import asyncio
import logging
from collections.abc import Iterator

import orjson
import pytest
from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpResponse, HttpResponseNotAllowed
from django.http.multipartparser import MultiPartParserError
from django.http.response import HttpResponseBase
from django.utils.decorators import async_only_middleware
from pytest_django import Settings

from core.http.problems import Conflict
from core.http.request import GetResponse, Request
from core.http.routing import Router
from core.process.lifespan import Lifespan
from core.server.handler import Handler
from tests.core.server.served_handler import Client, ServedHandler

SECRET = "the secret cause"
RAISED: dict[str, Exception] = {
    "problem": Conflict("it is taken", headers={"X-More": "1"}),
    "404": Http404(SECRET),
    "403": PermissionDenied(SECRET),
    "400": BadRequest(SECRET),
    "suspicious": SuspiciousOperation(SECRET),
    "multipart": MultiPartParserError(SECRET),
    "413": RequestDataTooBig(SECRET),
    "500": RuntimeError(SECRET),
    "unserializable": Conflict(extension=object()),
}
TYPES = {
    "problem": (409, "conflict"),
    "404": (404, "not-found"),
    "403": (403, "forbidden"),
    "400": (400, "malformed-request"),
    "suspicious": (400, "malformed-request"),
    "multipart": (400, "malformed-request"),
    "413": (413, "content-too-large"),
    "500": (500, "internal-error"),
    "unserializable": (500, "internal-error"),
}


async def show(request: Request, name: str = "") -> HttpResponse:
    return HttpResponse(f"{request.method} {name}", content_type="text/plain")


async def raising(request: Request, name: str) -> HttpResponse:
    raise RAISED[name]


async def error_page(request: Request, status: str) -> HttpResponse:
    if status == "405":
        return HttpResponseNotAllowed(["PUT"], content=SECRET)
    return HttpResponse(SECRET, status=int(status), headers={"Retry-After": "7"})


VIEWS = {
    "GET /show/{name}": show,
    "PUT /show/{name}": show,
    "GET /raising/{name}": raising,
    "GET /error-page/{status}": error_page,
}


@pytest.fixture(scope="module")
def served() -> Iterator[ServedHandler]:
    with ServedHandler(VIEWS) as running:
        yield running


@pytest.fixture
def client(served: ServedHandler) -> Iterator[Client]:
    with served.connect() as connection:
        yield connection


def assert_is_problem(response: tuple[int, dict[str, str], bytes], status: int, slug: str, path: str) -> None:
    got, headers, body = response
    problem = orjson.loads(body)
    assert (got, headers["content-type"]) == (status, "application/problem+json")
    assert (problem["status"], problem["type"], problem["instance"]) == (status, f"/problems/{slug}", path)
    assert problem["request_id"] == headers["x-request-id"]
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert SECRET.encode() not in body


def test_view_gets_path_parameters(client: Client) -> None:
    client.request("GET", "/show/me")
    assert client.response()[::2] == (200, b"GET me")
    client.request("PUT", "/show/you")
    assert client.response()[::2] == (200, b"PUT you")


def test_head_equals_get_without_the_body(client: Client) -> None:
    client.request("HEAD", "/show/me")
    status, headers, _ = client.response(has_body=False)
    assert (status, headers["content-length"]) == (200, str(len("HEAD me")))


def test_options_lists_the_methods(client: Client) -> None:
    client.request("OPTIONS", "/show/me")
    status, headers, _ = client.response()
    assert (status, headers["allow"]) == (204, "get, head, options, put")
    assert "content-type" not in headers


@pytest.mark.parametrize("method", ["POST", "DELETE", "PROPFIND", "TRACE"])
def test_other_methods_are_405(client: Client, method: str) -> None:
    client.request(method, "/show/me")
    response = client.response()
    assert_is_problem(response, 405, "method-not-allowed", "/show/me")
    assert response[1]["allow"] == "get, head, options, put"


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/show", "/show/", "/show/me/", "//show/me", "/v1", "/v1/x", "/Show/me", "*"])
def test_paths_without_a_route_are_404(client: Client, method: str, path: str) -> None:
    client.request(method, path)
    assert_is_problem(client.response(), 404, "not-found", path)


@pytest.mark.parametrize("name", list(RAISED))
def test_exception_of_a_view_becomes_a_problem(client: Client, name: str, caplog: pytest.LogCaptureFixture) -> None:
    client.request("GET", f"/raising/{name}")
    response = client.response()
    assert_is_problem(response, *TYPES[name], f"/raising/{name}")
    assert (response[1].get("x-more") == "1") == (name == "problem")
    logged = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(logged) == (response[0] == 500)
    for record in logged:
        assert record.exc_info is not None
        assert record.exc_info[1] is not None
        assert record.request_id == response[1]["x-request-id"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("status", "slug"),
    [
        (400, "malformed-request"),
        (403, "forbidden"),
        (404, "not-found"),
        (405, "method-not-allowed"),
        (413, "content-too-large"),
        (500, "internal-error"),
        (503, "service-unavailable"),
    ],
)
def test_error_page_becomes_a_problem(client: Client, status: int, slug: str) -> None:
    client.request("GET", f"/error-page/{status}")
    response = client.response()
    assert_is_problem(response, status, slug, f"/error-page/{status}")
    name, value = ("allow", "put") if status == 405 else ("retry-after", "7")
    assert response[1][name] == value


@async_only_middleware
def failing_before(get_response: GetResponse) -> GetResponse:
    async def middleware(request: Request) -> HttpResponseBase:
        raise RuntimeError(SECRET)

    return middleware


@async_only_middleware
def failing_after(get_response: GetResponse) -> GetResponse:
    async def middleware(request: Request) -> HttpResponseBase:
        await get_response(request)
        raise PermissionDenied(SECRET)

    return middleware


@pytest.mark.parametrize(
    ("middleware", "status", "slug"),
    [("failing_before", 500, "internal-error"), ("failing_after", 403, "forbidden")],
)
def test_exception_of_a_middleware_becomes_a_problem(
    settings: Settings, caplog: pytest.LogCaptureFixture, middleware: str, status: int, slug: str
) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.{middleware}"]
    with ServedHandler(VIEWS) as served, served.connect() as client:
        client.request("GET", "/show/me")
        assert_is_problem(client.response(), status, slug, "/show/me")
        client.request("GET", "/show/me")
        assert client.response()[0] == status
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == (2 if status == 500 else 0)


def test_debug_mode_reveals_nothing_more(settings: Settings, client: Client) -> None:
    settings.DEBUG = True
    client.request("GET", "/raising/500")
    assert_is_problem(client.response(), 500, "internal-error", "/raising/500")


def test_each_request_has_a_log_line(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    for path in ("/show/me", "/raising/500", "/nowhere"):
        client.request("GET", path)
        client.response()
    lines = [record.access_fields for record in caplog.records if hasattr(record, "access_fields")]
    assert [(line["path"], line["status"]) for line in lines] == [
        ("/show/me", 200),
        ("/raising/500", 500),
        ("/nowhere", 404),
    ]


def test_handler_rejects_other_protocols() -> None:
    receive = send = asyncio.sleep
    with pytest.raises(ValueError, match="websocket"):
        asyncio.run(Handler(Router(), Lifespan([]))({"type": "websocket"}, receive, send))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "line",
    [
        b"GET /show/\xff HTTP/1.1",
        b"GET /show/me?a=\xff HTTP/1.1",
        b"GET /show/%ff HTTP/1.1",
        b"GET /show/%00 HTTP/1.1",
        b"GET /show/%2F HTTP/1.1",
        b"GET /show/" + b"a" * 50_000 + b" HTTP/1.1",
        b"GET http://localhost/show/me HTTP/1.1",
        b"GET /show/%ED%A0%80 HTTP/1.1",
    ],
)
def test_unusual_request_lines_do_no_harm(client: Client, line: bytes) -> None:
    client.send(line + b"\r\nHost: localhost\r\n\r\n")
    status, _, _ = client.response()
    assert status in (200, 400, 404)
