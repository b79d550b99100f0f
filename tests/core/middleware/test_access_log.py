"""Each request is logged and counted once, whatever its outcome."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from prometheus_client import REGISTRY

from core.http.request import Request, view_name
from core.http.routing import Route
from core.middleware.access_log import access_log
from core.telemetry.log_format import json_line
from core.telemetry.logs import request_fields

ITEM = "/v1/items/0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000"
COUNT = "django_http_responses_total_by_status_view_method_total"
LATENCY = "django_http_requests_latency_seconds_by_view_method"


def make_request(path: str = ITEM, template: str | None = "/v1/items/{item_id}", method: str = "GET") -> Request:
    scope = {"method": method, "path": path, "headers": [], "client": ("203.0.113.7", 1)}
    request = Request(scope, {}, b"")
    request.route = Route(template) if template else None
    request.request_id = "r-1"
    return request


def run(request: Request, outcome: HttpResponseBase | BaseException) -> None:
    """Pass the request through the middleware to a view with this outcome."""

    async def view(request: Request) -> HttpResponseBase:
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def main() -> None:
        request_fields.set({"correlation_id": "r-1", "request_id": "r-1", "trace_id": "t-1"})
        await access_log(view)(request)

    asyncio.run(main())


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="agent_router.access")
    return caplog


def line(logged: pytest.LogCaptureFixture) -> dict[str, Any]:
    """Return the only log line."""
    [record] = logged.records
    found: dict[str, Any] = json.loads(json_line(record.__dict__["access_fields"]))
    return found


def counted(status: int, view: str, method: str = "GET") -> float:
    return REGISTRY.get_sample_value(COUNT, {"status": str(status), "view": view, "method": method}) or 0


def timed(view: str, method: str = "GET") -> float:
    return REGISTRY.get_sample_value(f"{LATENCY}_count", {"view": view, "method": method}) or 0


def test_line_has_request_user_and_outcome(logged: pytest.LogCaptureFixture) -> None:
    request = make_request()
    request.principal = SimpleNamespace(user_key="u-1")  # type: ignore[assignment]
    run(request, HttpResponse(b"12345", status=201))
    found = line(logged)
    assert 0 < found.pop("duration_ms") < 60_000
    assert found.pop("timestamp").endswith("Z")
    assert found == {
        "level": "INFO",
        "message": "Request processed",
        "logger": "agent_router.access",
        "correlation_id": "r-1",
        "request_id": "r-1",
        "trace_id": "t-1",
        "span_id": None,
        "method": "GET",
        "path": ITEM,
        "route": "/v1/items/{item_id}",
        "status": 201,
        "user_id": "u-1",
        "client": "203.0.113.7",
        "response_bytes": 5,
    }


def test_any_formatter_accepts_the_record(logged: pytest.LogCaptureFixture) -> None:
    run(make_request(), HttpResponse())
    [record] = logged.records
    form = "%(levelname)s %(name)s %(message)s %(process)d %(threadName)s %(pathname)s:%(lineno)d %(msecs)d"
    assert logging.Formatter(form).format(record).startswith("INFO agent_router.access Request processed")


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (HttpResponse(status=204), 204),
        (HttpResponse(status=503), 503),
        (ValueError("boom"), 500),
        (asyncio.CancelledError(), 499),
    ],
)
def test_each_outcome_is_logged_counted_and_timed_once(
    logged: pytest.LogCaptureFixture, outcome: HttpResponseBase | BaseException, status: int
) -> None:
    view = f"/tests/{status}"
    before = timed(view)
    if isinstance(outcome, BaseException):
        with pytest.raises(type(outcome)):
            run(make_request(template=view), outcome)
    else:
        run(make_request(template=view), outcome)
    assert line(logged)["status"] == status
    assert counted(status, view) == 1
    assert timed(view) == before + 1


def test_streamed_response_has_no_size(logged: pytest.LogCaptureFixture) -> None:
    async def stream() -> AsyncIterator[bytes]:
        yield b""

    run(make_request(), StreamingHttpResponse(stream()))
    assert line(logged)["response_bytes"] is None


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/nope/password=CanarySecret77", None),
        ("/nope/ar_abc_CanarySecret77", None),
        ("/v1/items/ar_abc_CanarySecret77", "/v1/items/{item_id}"),
        ("/v1/items/token=CanarySecret77", "/v1/items/{item_id}"),
        ("/v1/items/CanarySecret77" + "aB3" * 20, "/v1/items/{item_id}"),
        ("/v1/items/" + "x" * 5000 + "CanarySecret77", "/v1/items/{item_id}"),
    ],
)
def test_secret_in_a_path_is_redacted(logged: pytest.LogCaptureFixture, path: str, template: str | None) -> None:
    run(make_request(path, template), HttpResponse(status=404))
    found = line(logged)["path"]
    assert "CanarySecret77" not in found
    assert len(found) < 1100


def test_path_cannot_forge_a_line(logged: pytest.LogCaptureFixture) -> None:
    path = '/a"}\n{"level": "ERROR"}\r\n\x1b[2J\u2028\ud800'
    run(make_request(path, None), HttpResponse(status=404))
    [record] = logged.records
    written = json_line(record.__dict__["access_fields"])
    assert written.count(b"\n") == 1
    assert json.loads(written)["path"].startswith('/a"}\n{"level": "ERROR"}')


def test_silenced_line_is_still_counted(logged: pytest.LogCaptureFixture) -> None:
    logged.set_level(logging.WARNING, logger="agent_router.access")
    run(make_request(template="/tests/silent"), HttpResponse())
    assert not logged.records
    assert counted(200, "/tests/silent") == 1


@pytest.mark.parametrize(
    ("path", "template", "name"),
    [
        (ITEM, "/v1/items/{item_id}", "/v1/items/{item_id}"),
        ("/admin/items/item/7/change/", None, "/admin/"),
        ("/static/admin/css/base.css", "/static/{path}", "/static/{path}"),
        ("/whatever", None, "unmatched"),
    ],
)
def test_metric_label_is_a_template(path: str, template: str | None, name: str) -> None:
    assert view_name(make_request(path, template)) == name
