"""Rate limits: which requests count, against which limit, and the responses."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from pytest_django import Settings

from core.http.principal import Principal
from core.http.request import Request
from core.http.routing import Route
from core.middleware.rate_limit import address_tag, rate_limit
from core.ratelimit.rates import parse_rates, parse_route_rates
from core.redis.client import redis
from tests.redis_server import RedisServer

type Middleware = Callable[[Request], Awaitable[HttpResponseBase]]

ITEMS, ITEM = Route("/v1/items/"), Route("/v1/items/{item_id}")
LOGIN, REFRESH, ME = Route("/v1/auth/login"), Route("/v1/auth/refresh"), Route("/v1/auth/me")


def principal(number: int) -> Principal:
    user_id = UUID(int=number)
    return Principal(
        user_id=user_id, user_key=str(user_id), is_staff=False, scopes=None, session_id=None, api_key_id=None
    )


def make_request(
    route: Route | None,
    method: str = "GET",
    *,
    path: str = "",
    by: Principal | None = None,
    ip: str = "192.0.2.1",
) -> Request:
    path = path or (route.template if route else "/v1/nothing")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [],
        "client": (ip, 1),
        "scheme": "http",
    }
    request = Request(scope, {}, b"")
    request.route, request.principal = route, by
    return request


async def view(request: Request) -> HttpResponseBase:
    return HttpResponse(status=200)


@pytest.fixture
def configure(settings: Settings) -> Callable[..., Middleware]:
    """Return the middleware with these limits, which counts in the process until Redis is opened."""

    def make(default: str = "1000/hour", auth: str = "1000/hour", routes: str = "{}") -> Middleware:
        settings.RATE_LIMIT = parse_rates(default)
        settings.RATE_LIMIT_AUTH = parse_rates(auth)
        settings.RATE_LIMIT_ROUTES = parse_route_rates(routes)
        made: Middleware = rate_limit(view)
        return made

    return make


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def run(middleware: Middleware, *requests: Request, url: str = "") -> list[Any]:
    """Return the responses, with the rate limit headers as `limits`."""

    async def main() -> list[Any]:
        await redis.open(url, 5)
        try:
            responses: list[Any] = []
            for request in requests:
                response: Any = await middleware(request)
                response.limits = {name.decode(): value.decode() for name, value in request.response_headers}
                responses.append(response)
            return responses
        finally:
            await redis.close()

    return asyncio.run(main())


def statuses(responses: list[Any]) -> list[int]:
    return [response.status_code for response in responses]


@pytest.mark.parametrize("with_redis", [False, True])
def test_headers_and_refusal(configure: Callable[..., Middleware], server: RedisServer, with_redis: bool) -> None:
    middleware = configure("2/hour;100/day")
    requests = [make_request(ITEMS, by=principal(1)) for _ in range(3)]
    responses = run(middleware, *requests, url=server.url if with_redis else "")
    assert statuses(responses) == [200, 200, 429]
    assert {response.limits["ratelimit-policy"] for response in responses} == {
        '"default";q=2;w=3600, "default-2";q=100;w=86400'
    }
    assert responses[0].limits["ratelimit"] == '"default";r=1;t=1800, "default-2";r=99;t=864'
    refused = responses[2]
    assert refused.limits["ratelimit"].startswith('"default";r=0;t=1')
    assert 1798 <= int(refused["Retry-After"]) <= 1800
    assert refused["Content-Type"] == "application/problem+json"
    problem = json.loads(refused.content)
    assert (problem["type"], problem["status"]) == ("/problems/too-many-requests", 429)
    assert "2 in 3600 s, 100 in 86400 s" in problem["detail"]


@pytest.mark.parametrize("path", ["/", "/health/live", "/health/ready", "/docs", "/metrics", "/v1", "/admin/login/"])
def test_other_paths_are_not_limited(configure: Callable[..., Middleware], path: str) -> None:
    requests = [make_request(Route(path), path=path) for _ in range(3)]
    responses = run(configure("1/hour"), *requests)
    assert statuses(responses) == [200] * 3
    assert not responses[0].limits


@pytest.mark.parametrize("path", ["/admin/login/", "/admin/password_change/"])
def test_admin_passwords_share_the_limit_of_the_api(configure: Callable[..., Middleware], path: str) -> None:
    requests = [
        make_request(None, "POST", path=path),
        make_request(LOGIN, "POST"),
        make_request(None, "POST", path=path),
    ]
    elsewhere = make_request(None, "POST", path=path, ip="192.0.2.2")
    responses = run(configure(auth="2/hour"), *requests, elsewhere, make_request(None, path=path))
    assert statuses(responses) == [200, 200, 429, 200, 200]


def test_unknown_paths_are_limited(configure: Callable[..., Middleware]) -> None:
    assert statuses(run(configure("1/hour"), make_request(None), make_request(None))) == [200, 429]


def test_each_user_and_each_address_has_its_own_limit(configure: Callable[..., Middleware]) -> None:
    requests = [
        make_request(ITEMS, by=principal(1)),
        make_request(ITEM, "DELETE", by=principal(1)),
        make_request(ITEMS, by=principal(2)),
        make_request(ITEMS, ip="192.0.2.1"),
        make_request(ITEMS, ip="192.0.2.2"),
        make_request(ITEM, ip="192.0.2.2"),
    ]
    assert statuses(run(configure("1/hour"), *requests)) == [200, 429, 200, 200, 200, 429]


def test_log_in_register_and_refresh_share_a_limit_by_address(configure: Callable[..., Middleware]) -> None:
    requests = [
        make_request(LOGIN, "POST"),
        make_request(REFRESH, "POST", by=principal(1)),
        make_request(LOGIN, "POST", path="/v1/auth/login/", by=principal(2)),
        make_request(LOGIN, "POST", ip="192.0.2.9"),
        make_request(ME, by=principal(1)),
        make_request(LOGIN, "GET"),
    ]
    responses = run(configure(auth="2/hour"), *requests)
    assert statuses(responses) == [200, 200, 429, 200, 200, 200]
    policies = [response.limits["ratelimit-policy"].split(";")[0] for response in responses]
    assert policies == ['"auth"'] * 4 + ['"default"'] * 2


def test_route_limit_applies_in_addition_to_the_default(configure: Callable[..., Middleware]) -> None:
    routes = '{"GET /v1/items/{id}": "2/hour", "POST /v1/auth/login": "1/hour"}'
    user = principal(1)
    requests = [
        make_request(ITEM, "HEAD", by=user),
        make_request(Route("/v1/items/{other_name}/"), by=user),
        make_request(ITEM, by=user),
        make_request(ITEM, "PUT", by=user),
        make_request(ITEMS, by=user),
        make_request(ITEM, by=principal(2)),
        make_request(LOGIN, "POST"),
        make_request(LOGIN, "POST"),
    ]
    responses = run(configure("5/hour", routes=routes), *requests)
    assert statuses(responses) == [200, 200, 429, 200, 200, 200, 200, 429]
    assert responses[0].limits["ratelimit-policy"] == '"default";q=5;w=3600, "GET /v1/items/{id}";q=2;w=3600'
    assert '"default";r=3;' in responses[2].limits["ratelimit"], "a refused request is not charged"
    assert responses[6].limits["ratelimit-policy"].startswith('"auth"')


def test_unknown_methods_take_no_memory(configure: Callable[..., Middleware]) -> None:
    responses = run(configure("3/hour"), *(make_request(ITEMS, f"MADE-UP-{n}") for n in range(5)))
    assert statuses(responses) == [200] * 3 + [429] * 2


def test_cache_entry_is_prefetched_with_the_count(configure: Callable[..., Middleware], server: RedisServer) -> None:
    asked: list[tuple[Principal, dict[str, str]]] = []

    def key(by: Principal, params: dict[str, str]) -> bytes | None:
        asked.append((by, params))
        return params["item_id"].encode() if params["item_id"] != "no-key" else None

    route = Route("/v1/items/{item_id}")
    route.prefetch_keys["GET"] = key
    with server.client() as client:
        client.set("there", b"entry")
    requests = [make_request(route, by=principal(1)) for _ in range(4)]
    for request, name in zip(requests, ["there", "missing", "no-key", "there"], strict=True):
        request.route_params = {"item_id": name}
    requests[3].principal = None
    run(configure(), *requests, url=server.url)
    assert [request.prefetched for request in requests] == [b"entry", None, None, None]
    assert len(asked) == 3, "anonymous callers prefetch nothing"


def test_redis_alone_decides_while_it_is_available(configure: Callable[..., Middleware], server: RedisServer) -> None:
    middleware = configure("2/hour")
    assert statuses(run(middleware, make_request(ITEMS, by=principal(1)), url=server.url)) == [200]
    requests = [make_request(ITEMS, by=principal(1)) for _ in range(2)]
    assert statuses(run(middleware, *requests)) == [200, 429], "the process continues from the last count of Redis"
    # Redis has no record of requests that the process counted.
    requests = [make_request(ITEMS, by=principal(1)) for _ in range(2)]
    assert statuses(run(middleware, *requests, url=server.url)) == [200, 429]
    with server.client() as client:
        assert all(client.ttl(key) > 0 for key in client.scan_iter())


def test_used_up_limit_stays_used_up_when_redis_fails(
    configure: Callable[..., Middleware], server: RedisServer
) -> None:
    middleware = configure("3/hour", routes='{"POST /v1/items/": "1/hour"}')
    post, get = make_request(ITEMS, "POST", by=principal(1)), make_request(ITEM, by=principal(1))

    async def main() -> list[int]:
        await redis.open(server.url, 5)
        try:
            before = [(await middleware(request)).status_code for request in (post, get)]
            server.kill()
            after = [(await middleware(request)).status_code for request in (post, get, get, post)]
            others = [(await middleware(make_request(ITEM, by=principal(2)))).status_code for _ in range(4)]
        finally:
            await redis.close()
        return before + after + others

    # An earlier request reported the route's limit. The default limit counts both methods.
    assert asyncio.run(main()) == [200, 200, 429, 200, 429, 429, 200, 200, 200, 429]


@pytest.mark.parametrize(
    ("address", "tag"),
    [
        ("192.0.2.1", b"192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", b"2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", b"2001:db8:1:2::/64"),
        ("fe80::1%eth0", b"fe80::/64"),
        ("not:an:address", b"not:an:address"),
    ],
)
def test_ipv6_clients_are_counted_by_network(address: str, tag: bytes) -> None:
    assert address_tag(address) == tag
