"""Security headers on every response."""

import asyncio

import pytest
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from pytest_django import Settings

from core.http.request import Request
from core.middleware.security_headers import security_headers
from tests.asgi_client import fetch

EXPECTED = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "x-xss-protection": "0",
}


def headers_of(
    settings: Settings,
    *,
    path: str = "/v1/items/",
    is_production: bool = False,
    is_https: bool = False,
    **own: str,
) -> dict[str, str]:
    """Return the headers that the middleware adds to a response with its own headers."""
    settings.IS_PRODUCTION = is_production
    request = Request({"method": "GET", "path": path, "headers": []}, {}, b"")
    request.is_https = is_https

    async def view(request: Request) -> HttpResponseBase:
        return HttpResponse(headers={name.replace("_", "-"): value for name, value in own.items()})

    async def main() -> None:
        await security_headers(view)(request)

    asyncio.run(main())
    names = [name for name, _ in request.response_headers]
    assert len(set(names)) == len(names)
    return {name.decode(): value.decode() for name, value in request.response_headers}


@pytest.mark.parametrize("path", ["/v1/items/", "/health/live", "/nope"])
def test_api_responses_have_strict_headers(settings: Settings, path: str) -> None:
    assert headers_of(settings, path=path) == EXPECTED


@pytest.mark.parametrize(("is_production", "is_https"), [(True, False), (False, True), (True, True)])
def test_transport_security_over_https_and_always_in_production(
    settings: Settings, is_production: bool, is_https: bool
) -> None:
    found = headers_of(settings, is_production=is_production, is_https=is_https)
    assert found == EXPECTED | {"strict-transport-security": "max-age=63072000; includeSubDomains"}


def test_policy_of_a_page_replaces_the_default(settings: Settings) -> None:
    own = "default-src 'self'; frame-ancestors 'none'"
    found = headers_of(settings, path="/docs", content_security_policy=own)
    assert found == {name: value for name, value in EXPECTED.items() if name != "content-security-policy"}


def test_admin_sends_its_referrer_to_the_same_origin(settings: Settings) -> None:
    assert headers_of(settings, path="/admin/login/")["referrer-policy"] == "same-origin"


def test_requests_do_not_share_headers(settings: Settings) -> None:
    headers_of(settings, path="/docs", content_security_policy="default-src 'self'")
    headers_of(settings, path="/admin/")
    assert headers_of(settings, path="/docs") == EXPECTED


@pytest.mark.parametrize(
    ("method", "target", "host"),
    [
        ("GET", "/health/live", "localhost"),
        ("HEAD", "/health/live", "localhost"),
        ("OPTIONS", "/v1/items/", "localhost"),
        ("GET", "/nope", "localhost"),
        ("DELETE", "/health/live", "localhost"),
        ("GET", "/v1/items/", "localhost"),
        ("GET", "/health/live", "evil.example"),
        ("GET", "/metrics", "localhost"),
        ("GET", "/docs", "localhost"),
        ("GET", "/problems/not-found", "localhost"),
    ],
)
def test_every_kind_of_response_has_security_headers(method: str, target: str, host: str) -> None:
    found = fetch(target, method=method, host=host).headers
    for name, value in EXPECTED.items():
        if name == "content-security-policy":
            assert "default-src 'none'" in found[name]
            assert "frame-ancestors 'none'" in found[name]
        else:
            assert found[name] == value
