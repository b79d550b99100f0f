"""Mozilla Observatory's rules and OWASP's, held against a real answer of every status that the service gives."""

import re
from collections.abc import Callable
from contextlib import closing

import httpx
import pytest

from tests.running_service import RunningService
from tests.security.wire import HOST, exchange, head_of

YEAR_SECONDS = 31_536_000
TELLTALE = ("server", "x-powered-by", "x-aspnet-version", "via", "x-runtime")


def faults(headers: dict[str, str]) -> list[str]:
    """What keeps an answer from the best mark. Over HTTP; the transport's rule is apart."""
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
    found += [name for name in TELLTALE if name in headers]
    if headers.get("access-control-allow-origin") == "*":
        found.append("access-control-allow-origin")
    for cookie in re.split(r", (?=\w+=)", headers.get("set-cookie", "")):
        if cookie and not ("SameSite=Strict" in cookie and ("HttpOnly" in cookie or cookie.startswith("csrftoken="))):
            found.append(f"cookie {cookie}")
    return found


def every_status(service: RunningService, me: httpx.Client) -> dict[int, dict[str, str]]:
    """The headers of an answer of each status."""
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
    # The account goes last.
    requests.sort(key=lambda one: one[:2] == ("DELETE", "/v1/auth/me"))
    found: dict[int, dict[str, str]] = {}
    for number, (method, target, options) in enumerate(requests):
        answer = me.request(method, target, **options)  # type: ignore[arg-type]
        found[answer.status_code * 100 + number] = dict(answer.headers)
    large = exchange(service, b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 70_000 + b"\r\n\r\n")
    return {**found, 43_100: head_of(large)}


def test_every_answer_has_the_best_mark(service: RunningService, me: httpx.Client) -> None:
    found = every_status(service, me)
    statuses = {number // 100 for number in found}
    assert statuses >= {200, 201, 204, 301, 304, 400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422, 431}
    assert {number: told for number, headers in found.items() if (told := faults(headers))} == {}


def test_limits_missing_conditions_and_losses_have_it_too(start: Callable[..., RunningService]) -> None:
    service = start(RATE_LIMIT="2/minute", REQUIRE_IF_MATCH="true")
    with closing(service.user()) as client:
        path = client.post("/v1/items/", json={"name": "x"}).headers["location"]
        answers = [client.put(path, json={"name": "y"}), client.get(path)]
    assert [answer.status_code for answer in answers] == [428, 429]
    assert [faults(dict(answer.headers)) for answer in answers] == [[], []]


@pytest.mark.parametrize("settings", [{"APP_ENV": "production", "ALLOWED_HOSTS": '["127.0.0.1"]'}])
def test_transport_is_secured_in_production(start: Callable[..., RunningService], settings: dict[str, str]) -> None:
    with start(**settings).client() as client:
        too_large = client.get("/", headers={"X-Large": "a" * 70_000})
        assert too_large.status_code == 431
        answers = [client.get(path) for path in ("/", "/v1/items/", "/nothing", "/docs", "/admin/login/")]
        for answer in [*answers, too_large]:
            told = re.fullmatch(r"max-age=(\d+); includeSubDomains", answer.headers["strict-transport-security"])
            assert told, answer.url
            assert int(told[1]) >= YEAR_SECONDS
            for cookie in answer.headers.get_list("set-cookie"):
                assert cookie.startswith("__Secure-")
                assert "; Secure" in cookie


ORIGINS = ["null", "http://localhost:3000.elsewhere.example", "http://elsewhere.example", "https://localhost:3000",
           "http://localhost:30000", "http://LOCALHOST:3000@elsewhere.example"]  # fmt: skip


@pytest.mark.parametrize("origin", ORIGINS)
def test_no_other_origin_is_let_in(anonymous: httpx.Client, origin: str) -> None:
    for method, path in (("GET", "/v1/items/"), ("OPTIONS", "/v1/items/"), ("GET", "/openapi.json"), ("GET", "/nope")):
        preflight = {"Access-Control-Request-Method": "DELETE"} if method == "OPTIONS" else {}
        answer = anonymous.request(method, path, headers={"Origin": origin, **preflight})
        assert "access-control-allow-origin" not in answer.headers
        assert "origin" in answer.headers["vary"].lower()


def test_no_origin_may_send_cookies(anonymous: httpx.Client) -> None:
    answer = anonymous.get("/v1/items/", headers={"Origin": "http://localhost:3000"})
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "access-control-allow-credentials" not in answer.headers
    assert (
        "access-control-allow-origin"
        not in anonymous.get("/admin/login/", headers={"Origin": "http://localhost:3000"}).headers
    )


def test_nothing_private_is_kept_by_a_cache_for_all(me: httpx.Client) -> None:
    """Not what is one's own, and not what was refused: some caches keep a 404 by themselves."""
    path = me.post("/v1/items/", json={"name": "x"}).headers["location"]
    for target in (path, "/v1/items/", "/v1/auth/me", "/v1/auth/sessions", "/v1/items/none", "/v1/nothing"):
        for authorization in (me.headers["Authorization"], "", "Bearer x"):
            told = me.get(target, headers={"Authorization": authorization}).headers["cache-control"]
            assert told in ("no-store", "private, no-cache"), target


@pytest.mark.parametrize(
    "target", ["//elsewhere.example", "https://elsewhere.example", "/\\elsewhere.example", "javascript:x"]
)
def test_log_in_leads_nowhere_else(service: RunningService, target: str) -> None:
    with service.client() as client:
        form = client.get("/admin/login/", params={"next": target})
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form.text)
        assert found
        fields = {"csrfmiddlewaretoken": found[1], "username": "staff@example.org", "next": target}
        answer = client.post("/admin/login/", data={**fields, "password": "Sturdy-horse-battery-9"})
        assert answer.status_code == 302
        assert answer.headers["location"] == "/admin/"
