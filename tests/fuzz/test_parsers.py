"""Parsers of client and operator input, with random texts from the pieces of their grammars."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from core.auth.credentials import revocation
from core.auth.credentials.identify import identify
from core.auth.credentials.jwt import access_tokens
from core.database.dsn import parse_dsn
from core.http.conditional import Precondition, entity_tag, not_modified, precondition
from core.http.problems import InvalidHeader, PreconditionFailed, Unauthorized
from core.ratelimit.buckets import make_buckets
from core.ratelimit.rates import parse_rates, parse_route_rates
from core.redis.url import check_url
from tests.core.requests import make_request

WITHOUT_DEADLINE = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SECRET = "hunter2-hunter2"


def texts_of(*pieces: str, most: int = 12) -> st.SearchStrategy[str]:
    """Texts of these pieces and of any other characters that a header may contain."""
    anything = st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=5)
    return st.lists(st.sampled_from(pieces) | anything, max_size=most).map("".join)


def refusal_of(parse: Callable[[], Any], kind: type[Exception] = ValueError) -> Any:
    """Return the exception of this kind that the call raises, or None."""
    try:
        parse()
    except kind as refusal:
        return refusal
    return None


TAGS = texts_of('"3"', '"4"', 'W/"3"', "W/", '"', ",", ", ", "*", "3", " ", "\t", '""')


@WITHOUT_DEADLINE
@given(st.lists(TAGS, max_size=3), st.lists(TAGS, max_size=2), st.integers(1, 5))
def test_preconditions_hold_fail_or_are_malformed(if_match: list[str], if_none_match: list[str], version: int) -> None:
    headers = [("if-match", value) for value in if_match] + [("if-none-match", value) for value in if_none_match]
    request = make_request(*headers)
    if refusal_of(lambda: precondition(request), InvalidHeader):
        return
    refusal = refusal_of(lambda: precondition(request).check(version), PreconditionFailed)
    joined = ",".join(if_match)
    if refusal:
        assert refusal.headers["ETag"] == entity_tag(version)
    else:
        assert not if_match or "*" in joined or entity_tag(version) in joined


@WITHOUT_DEADLINE
@given(st.lists(st.integers(1, 5), min_size=1), st.integers(1, 5))
def test_if_match_holds_for_each_version_in_its_list(versions: list[int], current: int) -> None:
    condition = Precondition(if_match=" , ".join(map(entity_tag, versions)))
    assert (refusal_of(lambda: condition.check(current), PreconditionFailed) is None) == (current in versions)


@WITHOUT_DEADLINE
@given(TAGS)
def test_if_none_match_never_fails_a_read(value: str) -> None:
    assert not_modified(make_request(("if-none-match", value)), entity_tag(3)) in (True, False)


@pytest.fixture
def no_valid_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every session and every API key invalid."""

    async def none(key: str) -> None:
        assert key.isascii() or "\ufffd" in key

    monkeypatch.setattr(revocation, "session_cache", revocation.CredentialCache(none))
    monkeypatch.setattr(revocation, "api_key_cache", revocation.CredentialCache(none))


VALID = access_tokens().issue(user_id=uuid4(), session_id=uuid4(), ttl_seconds=3600)
HEAD, CLAIMS, SIGNATURE = VALID.split(".")
KEY = "ar_abcdefgh1234_" + "S" * 43
CREDENTIALS = texts_of(
    "Bearer ", "bearer", "Basic ", " ", ".", "=", VALID, HEAD, CLAIMS, SIGNATURE, KEY, "ar_", "_", "S" * 43,
    "abcdefgh1234", "eyJhbGciOiJub25lIn0", "\t", "null",
)  # fmt: skip


@WITHOUT_DEADLINE
@example(f"Bearer {VALID}")
@example(f"Bearer {KEY}")
@given(CREDENTIALS)
def test_random_credentials_are_refused_without_secrets(no_valid_credentials: None, header: str) -> None:
    request, found = make_request(("authorization", header)), []

    def call() -> None:
        found.append(asyncio.run(identify(request, header.encode("latin-1"))))

    refusal = refusal_of(call, Unauthorized)
    if refusal:
        assert refusal.headers["WWW-Authenticate"].startswith("Bearer")
        assert not any(secret in str(refusal) for secret in (VALID, SIGNATURE, KEY))
    else:
        assert (found, header.strip()) == ([None], "")


RATES = texts_of(
    "10", "0", "1000000000", "99999999999999999999", "/", "second", "minute", "hour", "day", ";", " ", "-", ".5"
)  # fmt: skip


@WITHOUT_DEADLINE
@example("1000000000/second;1/day")
@given(RATES)
def test_rate_is_counted_exactly_or_refused(text: str) -> None:
    if refusal := refusal_of(lambda: parse_rates(text)):
        assert len(str(refusal)) < 300
        return
    for bucket in make_buckets("default", parse_rates(text)):
        # The limiter counts in whole units, so that no rounding occurs.
        units = bucket.rate.window_seconds * 1_000_000 // bucket.unit_microseconds
        assert bucket.cost * bucket.rate.quota == bucket.refill * units


ROUTES = texts_of("{", "}", '"', ":", ",", "POST /v1/items/", "GET /v1/items/{id}", "5/minute", "null", "[", "]", "1")


@WITHOUT_DEADLINE
@example('{"POST /v1/items/": "5/minute"}')
@given(ROUTES)
def test_route_rates_are_parsed_or_refused(text: str) -> None:
    if refusal_of(lambda: parse_route_rates(text)) is None:
        assert all(path.startswith("/v1/") for _, path in parse_route_rates(text))


URLS = texts_of(
    "sqlite:///", "sqlite+aiosqlite:///", "postgresql://", "postgres://", "postgresql+asyncpg://", "redis://",
    "rediss://", "redis+sentinel://", "redis+cluster://", "unix://", f"user:{SECRET}@", f":{SECRET}@", "host",
    "[::1]", ":5432", ":99999", "/name", "/0", "/", "?", "sslmode=require", "&", "=", "%", "%2f", "..", "@", "#",
    ",", "db=x", " ",
)  # fmt: skip


@WITHOUT_DEADLINE
@example(f"postgresql://user:{SECRET}@host:99999/name")
@given(URLS)
def test_dsn_is_parsed_or_refused_without_its_password(tmp_path: Path, text: str) -> None:
    refusal = refusal_of(lambda: parse_dsn(text, tmp_path))
    # The message contains the name of a SQLite file, which has no password.
    assert SECRET not in str(refusal) or text.lower().startswith("sqlite")


@WITHOUT_DEADLINE
@example(f"redis://user:{SECRET}@host:99999/0")
@given(URLS)
def test_redis_url_is_parsed_or_refused_without_its_password(text: str) -> None:
    assert SECRET not in str(refusal_of(lambda: check_url(text)))
