"""Security headers by the rules of Mozilla Observatory and OWASP, checked on responses of every status."""

import re
from collections.abc import Callable
from contextlib import closing

import httpx
import pytest

from tests.running_service import RunningService
from tests.security.wire import HOST, exchange, head_of

YEAR_SECONDS = 31_536_000
REVEALING_HEADERS = ("server", "x-powered-by", "x-aspnet-version", "via", "x-runtime")


def violations(headers: dict[str, str]) -> list[str]:
    """Return the violations of the rules for responses over HTTP. The rule for HTTPS has its own test."""
    found = []
    policy = dict(part.strip().partition(" ")[::2] for part in headers.get("content-security-policy", "").split(";"))
    if policy.get("default-src") != "'none'" or policy.get("frame-ancestors") != "'none'":
        found.append("content-security-policy: not from nothing upwards")
    if re.search(
        r"unsafe|\*|https?:(?!//)|data:(?!$)", " ".join(policy.get(one, "") for one in ("script-src", "style-src"))
    ):
        found.append("content-security-policy: unsafe sources")
    if "script-src" in policy and policy.get("base-uri") != "'none'":
        found.append("content-security-policy: base-uri")
    wanted = {
        "x-content-type-options": {"nosniff"}, "x-frame-options": {"DENY"}, "x-xss-protection": {"0"},
        "referrer-policy": {"no-referrer", "same-origin"}, "cross-origin-resource-policy": {"same-origin"},
        "cross-origin-opener-policy": {"same-origin"},
    }  # fmt: skip
    found += [name for name, values in wanted.items() if headers.get(name) not in values]
    found += [name for name in ("permissions-policy", "x-request-id") if name not in headers]
    found += [name for name in REVEALING_HEADERS if name in headers]
    if headers.get("access-control-allow-origin") == "*":
        found.append("access-control-allow-origin")
    for cookie in re.split(r", (?=\w+=)", headers.get("set-cookie", "")):
        if cookie and not ("SameSite=Strict" in cookie and ("HttpOnly" in cookie or cookie.startswith("csrftoken="))):
            found.append(f"cookie {cookie}")
    return found


def every_status(service: RunningService, me: httpx.Client) -> dict[int, dict[str, str]]:
    """Return the headers of a response of each status."""
    path = me.post("/v1/items/", json={"name": "x"}).headers["location"]
    key = {"Idempotency-Key": "one"}
    me.post("/v1/items/", json={"name": "x"}, headers=key)
    requests: list[tuple[str, str, dict[str, object]]] = [
        ("GET", path, {}), ("POST", "/v1/items/", {"json": {"name": "x"}}), ("DELETE", "/v1/auth/me", {}),
        ("GET", "/admin", {}), ("GET", path, {"headers": {"If-None-Match": "*"}}),
        ("POST", "/v1/items/", {"content": b"{", "headers": {"Content-Type": "application/json"}}),
        ("GET", "/v1/items/", {"headers": {"Authorization": "Bearer x"}}), ("POST", "/admin/login/", {}),
        ("GET", "/nothing", {}), ("DELETE", "/", {}), ("GET", path, {"headers": {"Accept": "text/html"}}),
        ("POST", "/v1/auth/register", {"json": {"email": me.email, "password": "Sturdy-horse-battery-9"}}),  # type: ignore[attr-defined]
        ("PUT", path, {"json": {"name": "y"}, "headers": {"If-Match": '"9"'}}),
        ("POST", "/v1/items/", {"content": b" " * 1_100_000, "headers": {"Content-Type": "application/json"}}),
        ("POST", "/v1/items/", {"content": b"x", "headers": {"Content-Type": "text/plain"}}),
        ("POST", "/v1/items/", {"json": {"name": "y"}, "headers": key}),
        ("GET", "/docs", {}), ("GET", "/admin/login/", {}), ("GET", "/problems/", {"headers": {"Accept": "text/html"}}),
        ("OPTIONS", "/v1/items/", {"headers": {"Origin": "http://localhost:3000"}}), ("HEAD", path, {}),
    ]  # fmt: skip
    # Delete the account last.
    requests.sort(key=lambda one: one[:2] == ("DELETE", "/v1/auth/me"))
    found: dict[int, dict[str, str]] = {}
    for number, (method, target, options) in enumerate(requests):
        response = me.request(method, target, **options)  # type: ignore[arg-type]
        found[response.status_code * 100 + number] = dict(response.headers)
    large = exchange(service, b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 70_000 + b"\r\n\r\n")
    return {**found, 43_100: head_of(large)}


def test_every_response_follows_the_rules(service: RunningService, me: httpx.Client) -> None:
    found = every_status(service, me)
    statuses = {number // 100 for number in found}
    assert statuses >= {200, 201, 204, 301, 304, 400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422, 431}
    broken = {number: violations(headers) for number, headers in found.items()}
    assert {number: rules for number, rules in broken.items() if rules} == {}


def test_428_and_429_follow_the_rules(start: Callable[..., RunningService]) -> None:
    service = start(RATE_LIMIT="2/minute", REQUIRE_IF_MATCH="true")
    with closing(service.user()) as client:
        path = client.post("/v1/items/", json={"name": "x"}).headers["location"]
        responses = [client.put(path, json={"name": "y"}), client.get(path)]
    assert [response.status_code for response in responses] == [428, 429]
    assert [violations(dict(response.headers)) for response in responses] == [[], []]


@pytest.mark.parametrize("settings", [{"APP_ENV": "production", "ALLOWED_HOSTS": '["127.0.0.1"]'}])
def test_production_sends_hsts_and_secure_cookies(
    start: Callable[..., RunningService], settings: dict[str, str]
) -> None:
    with start(**settings).client() as client:
        too_large = client.get("/", headers={"X-Large": "a" * 70_000})
        assert too_large.status_code == 431
        responses = [client.get(path) for path in ("/", "/v1/items/", "/nothing", "/docs", "/admin/login/")]
        for response in [*responses, too_large]:
            found = re.fullmatch(r"max-age=(\d+); includeSubDomains", response.headers["strict-transport-security"])
            assert found, response.url
            assert int(found[1]) >= YEAR_SECONDS
            for cookie in response.headers.get_list("set-cookie"):
                assert cookie.startswith("__Secure-")
                assert "; Secure" in cookie


ORIGINS = ["null", "http://localhost:3000.elsewhere.example", "http://elsewhere.example", "https://localhost:3000",
           "http://localhost:30000", "http://LOCALHOST:3000@elsewhere.example"]  # fmt: skip


@pytest.mark.parametrize("origin", ORIGINS)
def test_other_origins_get_no_cors_headers(anonymous: httpx.Client, origin: str) -> None:
    for method, path in (("GET", "/v1/items/"), ("OPTIONS", "/v1/items/"), ("GET", "/openapi.json"), ("GET", "/nope")):
        preflight = {"Access-Control-Request-Method": "DELETE"} if method == "OPTIONS" else {}
        response = anonymous.request(method, path, headers={"Origin": origin, **preflight})
        assert "access-control-allow-origin" not in response.headers
        assert "origin" in response.headers["vary"].lower()


def test_cors_never_allows_cookies(anonymous: httpx.Client) -> None:
    response = anonymous.get("/v1/items/", headers={"Origin": "http://localhost:3000"})
    assert response.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "access-control-allow-credentials" not in response.headers
    assert (
        "access-control-allow-origin"
        not in anonymous.get("/admin/login/", headers={"Origin": "http://localhost:3000"}).headers
    )


def test_shared_caches_store_no_private_response(me: httpx.Client) -> None:
    """Responses to refused requests are included, because some caches store a 404 by default."""
    path = me.post("/v1/items/", json={"name": "x"}).headers["location"]
    for target in (path, "/v1/items/", "/v1/auth/me", "/v1/auth/sessions", "/v1/items/none", "/v1/nothing"):
        for authorization in (me.headers["Authorization"], "", "Bearer x"):
            found = me.get(target, headers={"Authorization": authorization}).headers["cache-control"]
            assert found in ("no-store", "private, no-cache"), target


@pytest.mark.parametrize(
    "target", ["//elsewhere.example", "https://elsewhere.example", "/\\elsewhere.example", "javascript:x"]
)
def test_login_does_not_redirect_to_other_sites(service: RunningService, target: str) -> None:
    with service.client() as client:
        form = client.get("/admin/login/", params={"next": target})
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form.text)
        assert found
        fields = {"csrfmiddlewaretoken": found[1], "username": "staff@example.org", "next": target}
        response = client.post("/admin/login/", data={**fields, "password": "Sturdy-horse-battery-9"})
        assert response.status_code == 302
        assert response.headers["location"] == "/admin/"
