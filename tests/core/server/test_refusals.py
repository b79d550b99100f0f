"""Refusals: which one wins, and what each has in common."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.http import HttpResponse
from pytest_django import Settings

from core.http.request import Request
from tests.core.server.served_handler import Client, ServedHandler


async def view(request: Request) -> HttpResponse:
    return HttpResponse(b"done")


@pytest.fixture
def overloaded(settings: Settings) -> Iterator[Client]:
    """A connection to a service that refuses every request."""
    settings.MAX_REQUESTS_IN_FLIGHT = 0
    settings.MAX_BODY_BYTES = 10
    with ServedHandler({"POST /v1/view": view, "GET /metrics": view}) as served, served.connect() as client:
        yield client


def problem_of(client: Client) -> dict[str, Any]:
    """Read a refusal and check what all refusals have in common. Return its problem."""
    status, headers, body = client.response()
    problem: dict[str, Any] = json.loads(body)
    assert status == problem["status"]
    assert headers["x-request-id"] == problem["request_id"]
    assert headers["x-content-type-options"] == "nosniff"
    return problem


def test_overload_precedes_the_host_check(overloaded: Client) -> None:
    overloaded.send(b"POST /v1/view HTTP/1.1\r\nHost: elsewhere\r\nContent-Length: 0\r\n\r\n")
    assert problem_of(overloaded)["detail"] == "More requests are in flight than can be answered in time"


def test_overload_precedes_the_refusal_of_a_body(overloaded: Client) -> None:
    overloaded.request("POST", "/v1/view", headers="Content-Length: 11\r\n")
    assert problem_of(overloaded)["type"] == "/problems/service-unavailable"


def test_metrics_are_served_during_an_overload(overloaded: Client) -> None:
    overloaded.request("GET", "/metrics")
    assert overloaded.response()[0] == 200


def test_refused_request_is_logged(overloaded: Client, caplog: pytest.LogCaptureFixture) -> None:
    overloaded.request("POST", "/v1/view", body=b"")
    problem = problem_of(overloaded)
    [line] = [record.access_fields for record in caplog.records if hasattr(record, "access_fields")]
    assert (line["status"], line["request_id"]) == (503, problem["request_id"])
