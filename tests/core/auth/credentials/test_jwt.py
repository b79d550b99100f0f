"""Access tokens: nobody but the service can make one, and nothing in them can be changed."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any
from uuid import UUID

import pytest

from core.auth.credentials import jwt
from core.auth.credentials.jwt import AccessTokens, InvalidToken

SECRET, OTHER = "s" * 40, "o" * 40
USER, SESSION = UUID("0199c0de-7a11-7000-8000-0000000000bb"), UUID("0199c0de-7a11-7000-8000-0000000000cc")


class Seconds(int):
    """From now on."""


@pytest.fixture
def ours() -> AccessTokens:
    return AccessTokens(secret=SECRET)


def issue(ours: AccessTokens, ttl_seconds: int = 900) -> bytes:
    return ours.issue(user_id=USER, session_id=SESSION, ttl_seconds=ttl_seconds).encode()


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def parts(token: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    header, claims, _ = token.decode().split(".")
    first, second = (json.loads(base64.urlsafe_b64decode(text + "==")) for text in (header, claims))
    return first, second


def forge(
    token: bytes,
    *,
    secret: str = SECRET,
    header: dict[str, Any] | None = None,
    claims: dict[str, Any] | None = None,
) -> bytes:
    """The token with some members of it changed (None: without it), signed with the secret."""
    now = int(time.time())
    claims = {name: now + value if isinstance(value, Seconds) else value for name, value in (claims or {}).items()}
    merged = [{**old, **(new or {})} for old, new in zip(parts(token), (header, claims), strict=True)]
    texts = [encode(json.dumps({k: v for k, v in one.items() if v is not None}).encode()) for one in merged]
    signed = ".".join(texts)
    digest = getattr(hashlib, {"HS384": "sha384", "HS512": "sha512"}.get(str(merged[0].get("alg")), "sha256"))
    signature = hmac.new(secret.encode(), signed.encode(), digest).digest()
    return f"{signed}.{'' if merged[0].get('alg') == 'none' else encode(signature)}".encode()


def test_token_says_who_it_is_for(ours: AccessTokens) -> None:
    access = ours.verify(issue(ours))
    assert (access.user_key, access.session_key) == (str(USER), str(SESSION))
    assert access.expires_at == pytest.approx(time.time() + 900, abs=2)


def test_token_has_every_promised_claim(ours: AccessTokens) -> None:
    header, claims = parts(issue(ours))
    assert set(claims) == {"iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp", "typ"}
    assert (header["alg"], header["typ"], claims["typ"]) == ("HS256", "at+jwt", "access")
    assert parts(issue(ours))[1]["jti"] != claims["jti"]


def test_signature_is_hmac_with_the_secret_itself(ours: AccessTokens) -> None:
    ours.verify(forge(issue(ours)))


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "None"},
        {"alg": "HS384"},
        {"alg": "HS512"},
        {"alg": "RS256"},
        {"alg": None},
        {"kid": None},
        {"kid": "nobody"},
        {"kid": ["x"]},
        {"kid": ""},
        {"kid": "../../dev/null"},
        {"typ": "JWT"},
        {"typ": "refresh"},
        {"typ": None},
        {"jku": "https://evil.example/keys"},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"x5u": "https://evil.example/cert"},
        {"crit": ["exp"]},
        {"b64": False, "crit": ["b64"]},
        {"cty": "JWT"},
    ],
    ids=str,
)
def test_header_other_than_our_own_is_refused(ours: AccessTokens, header: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken):
        ours.verify(forge(issue(ours), header=header))


@pytest.mark.parametrize(
    "claims",
    [
        *({name: None} for name in ("iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp", "typ")),
        {"iss": "somebody-else"},
        {"iss": ["agent-router"]},
        {"aud": "another-service"},
        {"aud": ["agent-router-api", "another"]},
        {"typ": "refresh"},
        {"typ": ["access"]},
        {"exp": Seconds(-120)},
        {"exp": Seconds(-1)},
        {"exp": "soon"},
        {"nbf": Seconds(60)},
        {"iat": Seconds(60)},
        {"sub": "admin"},
        {"sub": 1},
        {"sub": str(USER).upper()},
        {"sub": f"{{{USER}}}"},
        {"sid": USER.hex},
        {"sid": ["x"]},
        {"sid": ""},
        {"jti": 5},
    ],
    ids=str,
)
def test_claims_that_are_wrong_or_missing_are_refused(ours: AccessTokens, claims: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken):
        ours.verify(forge(issue(ours), claims=claims))


def test_clock_of_another_host_may_be_a_little_ahead(ours: AccessTokens) -> None:
    soon = int(time.time()) + jwt.CLOCK_LEEWAY_SECONDS - 1
    ours.verify(forge(issue(ours), claims={"nbf": soon, "iat": soon}))


@pytest.mark.parametrize("secret", ["", "secret", OTHER])
def test_another_secret_is_refused(ours: AccessTokens, secret: str) -> None:
    with pytest.raises(InvalidToken):
        ours.verify(forge(issue(ours), secret=secret))


@pytest.mark.parametrize(
    "token",
    [
        b"",
        b".",
        b"..",
        b"a.b.c",
        b"\xff\xfe.x.y",
        b"eyJhbGciOiJub25lIn0..",
        b"x" * 100_000,
        b"W10.W10.",
        b"." * 2000,
    ],
    ids=lambda token: str(token[:20]),
)
def test_what_is_no_token_is_refused(ours: AccessTokens, token: bytes) -> None:
    with pytest.raises(InvalidToken):
        ours.verify(token)


def test_no_byte_of_a_token_can_be_changed_even_when_it_was_verified_before(ours: AccessTokens) -> None:
    token = issue(ours)
    ours.verify(token)
    # The last character of the signature has two bits that mean nothing.
    for place in range(0, len(token) - 1, 7):
        changed = bytearray(token)
        changed[place] = ord("A") if changed[place] != ord("A") else ord("B")
        with pytest.raises(InvalidToken):
            ours.verify(bytes(changed))


def test_token_that_was_verified_is_not_verified_again(ours: AccessTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    token = issue(ours)
    first = ours.verify(token)
    monkeypatch.setattr("jwt.decode", None)
    assert ours.verify(bytes(bytearray(token))) is first


def test_token_that_was_verified_expires_all_the_same(ours: AccessTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    token = issue(ours)
    expires_at = ours.verify(token).expires_at
    monkeypatch.setattr("core.auth.credentials.jwt.time.time", lambda: expires_at)
    with pytest.raises(InvalidToken, match="expired"):
        ours.verify(token)


def test_verified_tokens_are_bounded(ours: AccessTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwt, "VERIFIED_TOKENS_KEPT", 3)
    made = [issue(ours) for _ in range(10)]
    for token in made:
        ours.verify(token)
    assert list(ours._verified) == made[-3:]


def test_previous_secret_verifies_and_does_not_sign() -> None:
    before = AccessTokens(secret=OTHER)
    after = AccessTokens(secret=SECRET, previous=OTHER)
    after.verify(issue(before))
    assert parts(issue(after))[0]["kid"] == parts(issue(AccessTokens(secret=SECRET)))[0]["kid"]
    with pytest.raises(InvalidToken):
        AccessTokens(secret=SECRET).verify(issue(before))


def test_keys_are_those_of_the_settings(settings: Any) -> None:
    settings.JWT_SECRET, settings.JWT_SECRET_PREVIOUS = SECRET, ""
    token = issue(jwt.access_tokens())
    settings.JWT_SECRET = OTHER
    with pytest.raises(InvalidToken):
        jwt.access_tokens().verify(token)
    settings.JWT_SECRET_PREVIOUS = SECRET
    jwt.access_tokens().verify(token)


def test_secret_is_not_in_any_representation(ours: AccessTokens) -> None:
    assert SECRET not in repr(vars(ours))


def test_message_of_a_refusal_repeats_nothing_of_the_token(ours: AccessTokens) -> None:
    with pytest.raises(InvalidToken) as refused:
        ours.verify(forge(issue(ours), claims={"sub": "canary-in-a-claim"}))
    assert "canary" not in str(refused.value)
