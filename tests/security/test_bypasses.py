"""Attempts to bypass rate limits and lockouts with other spellings, methods, headers, protocols and concurrency."""

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import httpx
import pytest

from tests.redis_server import RedisServer
from tests.running_service import PASSWORD, RunningService
from tests.security.wire import HOST, exchange, statuses_of

LIMIT = 12


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def limited(start: Callable[..., RunningService], redis: RedisServer) -> RunningService:
    return start(workers=2, REDIS_URL=redis.url, RATE_LIMIT=f"{LIMIT}/day", RATE_LIMIT_AUTH=f"{LIMIT}/day")


FORGED_HEADERS = (
    "X-Forwarded-For: 192.0.2.{n}", "Forwarded: for=192.0.2.{n}", "X-Real-IP: 192.0.2.{n}", "Client-IP: 192.0.2.{n}",
    "X-Client-IP: 192.0.2.{n}", "True-Client-IP: 192.0.2.{n}", "CF-Connecting-IP: 192.0.2.{n}", "Via: 1.1 n{n}",
    "X-HTTP-Method-Override: GET", "X-Original-URL: /health/live", "X-Rewrite-URL: /health/live", "X-Request-ID: {n}",
    "Authorization: Bearer {n}", "Authorization: Basic eDp4", "Cookie: sessionid={n}", "User-Agent: {n}",
)  # fmt: skip
TARGETS = (
    "/v1/items", "/v1/items/", "/v1/%69tems", "/%76%31/items", "/v1/items?n={n}", "/v1/items/?#{n}", "/v1/nothing-{n}",
    "http://elsewhere-{n}.example/v1/items/",
)  # fmt: skip


def test_other_spellings_do_not_bypass_the_limit_of_an_address(limited: RunningService) -> None:
    requests = [f"GET {target} HTTP/1.1" for target in TARGETS] + [f"HEAD {target} HTTP/1.1" for target in TARGETS]
    requests += ["OPTIONS /v1/items HTTP/1.1", "TRACE /v1/items HTTP/1.1", "PROPFIND /v1/items/ HTTP/1.1"]
    passed = []
    for number in range(4 * len(FORGED_HEADERS)):
        line, header = requests[number % len(requests)], FORGED_HEADERS[number % len(FORGED_HEADERS)].format(n=number)
        head = f"{line.format(n=number)}\r\n{header}\r\nConnection: close\r\n".encode()
        passed += [status for status in statuses_of(exchange(limited, head + HOST + b"\r\n")) if status != 429]
    assert len(passed) <= LIMIT


def test_pipelining_and_many_connections_do_not_bypass_the_limit(limited: RunningService) -> None:
    request = b"GET /v1/items HTTP/1.1\r\n" + HOST
    pipelined = exchange(limited, (request + b"\r\n") * 40 + request + b"Connection: close\r\n\r\n")
    assert len(statuses_of(pipelined)) == 41
    with ThreadPoolExecutor(8) as pool:
        more = pool.map(lambda _: statuses_of(exchange(limited, request + b"Connection: close\r\n\r\n")), range(40))
        assert sum(status != 429 for found in [statuses_of(pipelined), *more] for status in found) <= LIMIT


def test_all_credentials_of_a_user_share_one_limit(start: Callable[..., RunningService], redis: RedisServer) -> None:
    service = start(workers=2, REDIS_URL=redis.url, RATE_LIMIT=f"{LIMIT}/day")
    # If Redis is too slow on a busy machine, a worker counts by itself. One user with the exact limit is enough.
    assert any(allowed_with_all_credentials(service) <= LIMIT - 1 for _ in range(5))


def allowed_with_all_credentials(service: RunningService) -> int:
    """Return how many requests of a new user succeed when they alternate between all kinds of credentials."""
    with closing(service.user()) as me:
        key = me.post("/v1/auth/api-keys", json={"name": "k", "scopes": ["items:read"]}).json()["key"]
        second = service.log_in(me.email, PASSWORD)  # type: ignore[attr-defined]
        second.close()
        credentials = [me.headers["Authorization"], second.headers["Authorization"], f"Bearer {key}", f"bearer  {key}"]
        sent = [
            me.get("/v1/items/", headers={"Authorization": credentials[n % 4]}).status_code for n in range(4 * LIMIT)
        ]
        assert set(sent) == {200, 429}
        return sent.count(200)


SPELLINGS = ("{0}", "{1}", " {0}", "{0}\t", "\u3000{0}", "{2}", "{0}\u00a0")


def spelled(address: str, number: int) -> str:
    """Return the same address in another spelling, which NFKC or trimming maps to the original."""
    wide = "".join(chr(ord(one) + 0xFEE0) if one.isalnum() else one for one in address)
    return SPELLINGS[number % len(SPELLINGS)].format(address, address.upper(), wide)


def test_other_spellings_and_concurrency_do_not_bypass_the_lockout(
    start: Callable[..., RunningService], redis: RedisServer
) -> None:
    service = start(workers=2, REDIS_URL=redis.url)
    address = f"{secrets.token_hex(8)}@example.org"

    def guess(number: int) -> int:
        body = {"email": spelled(address, number), "password": f"guess-{number}"}
        forged = {"X-Forwarded-For": f"192.0.2.{number}", "User-Agent": str(number)}
        return httpx.post(
            f"{service.url}/v1/auth/login", json=body, headers=forged, trust_env=False, timeout=60
        ).status_code

    with service.client() as client:
        assert client.post("/v1/auth/register", json={"email": address, "password": PASSWORD}).status_code == 201
    with ThreadPoolExecutor(10) as pool:
        statuses = list(pool.map(guess, range(60)))
    assert statuses.count(401) == 10
    assert statuses.count(429) == 50
    # The account is locked, so the right password must wait too.
    with service.client() as client:
        assert client.post("/v1/auth/login", json={"email": address, "password": PASSWORD}).status_code == 429
