"""The Authorization header becomes a principal or a problem."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.http import HttpResponse

from core.auth.credentials import revocation
from core.auth.credentials.bearer import Bearer
from core.auth.credentials.jwt import access_tokens
from core.auth.credentials.key_usage import key_usage
from core.auth.credentials.revocation import LiveCredential
from core.auth.digests import secret_digest
from core.http.principal import Principal
from core.http.problems import Forbidden, InsufficientScope, InternalError, Problem, ServiceUnavailable, Unauthorized
from core.http.request import Request
from core.middleware.authentication import authentication

USER, SESSION, KEY = uuid4(), uuid4(), uuid4()
BY_TOKEN = Principal(USER, str(USER), False, None, SESSION, None)
BY_KEY = Principal(USER, str(USER), False, frozenset({"items:read"}), None, KEY)
PREFIX, SECRET = "abcdefgh1234", "S" * 43


class Database:
    """Holds one session and one key. Counts queries, and raises `error` if it is set."""

    def __init__(self) -> None:
        self.asked, self.error = 0, None

    async def session(self, key: str) -> LiveCredential | None:
        return self.answer(LiveCredential(BY_TOKEN) if key == str(SESSION) else None)

    async def key(self, prefix: str) -> LiveCredential | None:
        digest = secret_digest(SECRET)
        return self.answer(LiveCredential(BY_KEY, secret_digest=digest) if prefix == PREFIX else None)

    def answer(self, standing: LiveCredential | None) -> LiveCredential | None:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return standing


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    database = Database()
    monkeypatch.setattr(revocation, "session_cache", revocation.CredentialCache(database.session))
    monkeypatch.setattr(revocation, "api_key_cache", revocation.CredentialCache(database.key))
    yield database
    key_usage._uses.clear()


def token(**ids: Any) -> str:
    return access_tokens().issue(**{"user_id": USER, "session_id": SESSION, "ttl_seconds": 60, **ids})


def make_request(*authorization: str, path: str = "/v1/items/") -> Request:
    headers = [(b"host", b"localhost"), *((b"authorization", one.encode("latin-1")) for one in authorization)]
    scope = {"type": "http", "method": "GET", "path": path, "headers": headers, "client": ("203.0.113.7", 1)}
    return Request(scope, dict(headers), b"")


async def through(request: Request) -> Request:
    async def view(_: Request) -> HttpResponse:
        return HttpResponse("reached")

    response = await authentication(view)(request)
    assert response.content == b"reached"  # type: ignore[attr-defined]
    return request


def seen(*authorization: str, **options: Any) -> Request:
    return asyncio.run(through(make_request(*authorization, **options)))


def refused(*authorization: str) -> str:
    """Return the challenge for refused credentials."""
    request = seen(*authorization)
    assert request.principal is None
    with pytest.raises(Unauthorized) as problem:
        asyncio.run(Bearer()(request))
    return problem.value.headers["WWW-Authenticate"]


def test_token_of_a_live_session_authenticates_its_user(database: Database) -> None:
    assert seen(f"Bearer {token()}").principal == BY_TOKEN


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer ", " Bearer"])
def test_scheme_is_case_insensitive_and_spaces_are_ignored(database: Database, scheme: str) -> None:
    assert seen(f"{scheme} {token()}").principal == BY_TOKEN


@pytest.mark.parametrize("nothing", [(), ("",), (" ",)])
def test_without_credentials_the_challenge_has_no_error(database: Database, nothing: tuple[str, ...]) -> None:
    request = seen(*nothing)
    assert (request.principal, request.credentials_problem) == (None, None)
    assert refused(*nothing) == "Bearer"


@pytest.mark.parametrize("value", ["Basic dXNlcjpwYXNz", "Bearer", "Bearer ", "Digest x", "x", "Bearerx y"])
def test_other_schemes_are_refused_without_an_error(database: Database, value: str) -> None:
    assert refused(value) == "Bearer"


@pytest.mark.parametrize(
    "credentials",
    [
        "x",
        "a.b.c",
        "a b",
        "ar_ab_cd",
        "ar_",
        "ar__",
        "ar___",
        f"ar_{PREFIX}_",
        f"ar_{PREFIX}_{SECRET[:-1]}",
        f"ar_{PREFIX}_{SECRET}S",
        f"ar_{PREFIX}_{SECRET[:-1]}s",
        f"ar_{PREFIX[:-1]}_S{SECRET}",
        f"ar_{PREFIX[:-1]}x_{SECRET}",
        f"AR_{PREFIX}_{SECRET}",
        "ar_" + "é" * 56,
        "\xff\xfe",
        "x" * 100_000,
    ],
    ids=lambda text: text[:70].encode("unicode_escape").decode(),
)
def test_invalid_bearer_token_gets_invalid_token(database: Database, credentials: str) -> None:
    assert refused(f"Bearer {credentials}") == 'Bearer error="invalid_token"'


def test_repeated_authorization_header_is_refused(database: Database) -> None:
    assert refused(f"Bearer {token()}", f"Bearer {token()}") == 'Bearer error="invalid_token"'
    assert refused("", f"Bearer {token()}") == 'Bearer error="invalid_token"'


def test_other_headers_may_be_repeated(database: Database) -> None:
    one = make_request(f"Bearer {token()}")
    headers = [*one.scope["headers"], (b"via", b"1.1 a"), (b"via", b"1.1 b")]
    request = Request({**one.scope, "headers": headers}, dict(headers), b"")
    assert asyncio.run(through(request)).principal == BY_TOKEN


def test_token_of_an_ended_session_is_refused(database: Database) -> None:
    assert refused(f"Bearer {token(session_id=uuid4())}") == 'Bearer error="invalid_token"'


def test_token_with_another_users_session_is_refused(database: Database) -> None:
    assert refused(f"Bearer {token(user_id=uuid4())}") == 'Bearer error="invalid_token"'


def test_key_authenticates_its_user_with_its_scopes_and_records_its_use(database: Database) -> None:
    assert seen(f"Bearer ar_{PREFIX}_{SECRET}").principal == BY_KEY
    assert key_usage._uses[KEY].ips == {"203.0.113.7"}


def test_use_of_a_refused_key_is_not_recorded(database: Database) -> None:
    refused(f"Bearer ar_{PREFIX}_{'x' * 43}")
    assert not key_usage._uses


@pytest.mark.parametrize("path", ["/", "/metrics", "/admin/", "/v1x/items", "/health/live"])
def test_credentials_outside_v1_are_ignored(database: Database, path: str) -> None:
    request = seen("Bearer x", path=path)
    assert (request.principal, request.credentials_problem) == (None, None)


@pytest.mark.parametrize("credentials", [token, lambda: f"ar_{PREFIX}_{SECRET}"])
def test_cached_credentials_need_no_query_and_no_wait(database: Database, credentials: Any) -> None:
    header = f"Bearer {credentials()}"

    async def scenario() -> None:
        await through(make_request(header))
        warm = through(make_request(header))
        with pytest.raises(StopIteration):  # it came to its end without giving way to the loop once
            warm.send(None)

    asyncio.run(scenario())
    assert database.asked == 1


def problem_of(error: Exception, database: Database) -> Problem:
    database.error = error  # type: ignore[assignment]
    request = seen(f"Bearer {token()}")
    assert request.principal is None
    assert request.credentials_problem is not None
    return request.credentials_problem


def test_unreachable_database_gets_503_and_not_401(database: Database) -> None:
    problem = problem_of(ServiceUnavailable("away"), database)
    assert (problem.status, problem.headers) == (503, {"Retry-After": "1"})
    assert problem.__traceback__ is None


def test_unexpected_error_gets_500_and_is_logged(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    assert isinstance(problem_of(ZeroDivisionError(), database), InternalError)
    assert "ZeroDivisionError" in caplog.text


def check(bearer: Bearer, principal: Principal) -> Principal:
    request = make_request()
    request.principal = principal
    return asyncio.run(bearer(request))


def test_token_has_every_scope() -> None:
    for bearer in (Bearer(), Bearer("items:read"), Bearer(scope="items:write")):
        assert check(bearer, BY_TOKEN) is BY_TOKEN


def test_key_is_limited_to_its_scopes_and_cannot_manage_accounts() -> None:
    assert check(Bearer("items:read"), BY_KEY) is BY_KEY
    with pytest.raises(InsufficientScope) as refused:
        check(Bearer("items:write"), BY_KEY)
    assert refused.value.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="items:write"'
    with pytest.raises(Forbidden):
        check(Bearer(), BY_KEY)
