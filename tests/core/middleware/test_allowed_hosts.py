"""Requests for hosts outside ALLOWED_HOSTS are refused on every path."""

import asyncio
import json

import pytest
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from pytest_django import Settings

from core.http.request import GetResponse, Request
from core.middleware.allowed_hosts import allowed_hosts


async def view(request: Request) -> HttpResponseBase:
    return HttpResponse()


def ask(middleware: GetResponse, *headers: tuple[bytes, bytes]) -> HttpResponseBase:
    request = Request({"method": "GET", "path": "/nope", "headers": list(headers)}, dict(headers), b"")
    request.request_id = "r-1"

    async def main() -> HttpResponseBase:
        return await middleware(request)

    return asyncio.run(main())


def made(settings: Settings, *allowed: str) -> GetResponse:
    settings.ALLOWED_HOSTS = list(allowed)
    return allowed_hosts(view)


@pytest.mark.parametrize(
    ("allowed", "host", "status"),
    [
        ("api.example", "api.example", 200),
        ("api.example", "API.Example", 200),
        ("api.example", "api.example:8000", 200),
        ("api.example", "api.example.", 200),
        ("api.example", "evil.example", 400),
        ("api.example", "api.example.evil.example", 400),
        ("api.example", "api.example@evil.example", 400),
        ("api.example", "api.example:80:80", 400),
        ("api.example", "api.example/", 400),
        ("api.example", "", 400),
        ("api.example", " api.example", 400),
        ("api.example", "api.examplé", 400),
        (".example", "any.example", 200),
        (".example", "example", 200),
        (".example", "anyexample", 400),
        ("*", "whatever.test", 200),
        ("[::1]", "[::1]:8000", 200),
        ("[::1]", "[::2]", 400),
    ],
)
def test_host_is_checked_against_allowed_hosts(settings: Settings, allowed: str, host: str, status: int) -> None:
    assert ask(made(settings, allowed), (b"host", host.encode())).status_code == status


def test_refusal_is_a_problem_that_does_not_repeat_the_host(settings: Settings) -> None:
    response = ask(made(settings, "api.example"), (b"host", b"evil.example"))
    assert isinstance(response, HttpResponse)
    body = json.loads(response.content)
    assert (body["type"], body["status"], body["request_id"]) == ("/problems/host-not-allowed", 400, "r-1")
    assert b"evil" not in response.content


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"host", b"api.example"), (b"host", b"api.example")],
        [(b"host", b"evil.example"), (b"host", b"api.example")],
        [(b"host", b"api.example"), (b"host", b"evil.example")],
    ],
)
def test_host_must_be_sent_exactly_once(settings: Settings, headers: list[tuple[bytes, bytes]]) -> None:
    middleware = made(settings, "api.example")
    assert ask(middleware, (b"host", b"api.example")).status_code == 200
    assert ask(middleware, *headers).status_code == 400


def test_forwarded_host_is_ignored(settings: Settings) -> None:
    middleware = made(settings, "api.example")
    forwarded = (b"x-forwarded-host", b"evil.example")
    assert ask(middleware, (b"host", b"api.example"), forwarded).status_code == 200
    assert ask(middleware, (b"host", b"evil.example"), (b"x-forwarded-host", b"api.example")).status_code == 400


def test_other_headers_may_be_repeated(settings: Settings) -> None:
    middleware = made(settings, "api.example")
    lines = [(b"host", b"api.example"), (b"x-forwarded-for", b"1"), (b"x-forwarded-for", b"2")]
    assert ask(middleware, *lines).status_code == 200
