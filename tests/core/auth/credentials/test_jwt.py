"""Access tokens: only the service can issue them, and nobody can change them."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest

from core.auth.credentials import jwt
from core.auth.credentials.jwt import AccessTokens, InvalidToken

SECRET, OTHER = "s" * 40, "o" * 40
USER, SESSION = UUID("0199c0de-7a11-7000-8000-0000000000bb"), UUID("0199c0de-7a11-7000-8000-0000000000cc")


class Seconds(int):
    """A time relative to now."""


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
    """Change members of the token (None removes a member) and sign it with the secret."""
    now = int(time.time())
    claims = {name: now + value if isinstance(value, Seconds) else value for name, value in (claims or {}).items()}
    merged = [{**old, **(new or {})} for old, new in zip(parts(token), (header, claims), strict=True)]
    texts = [encode(json.dumps({k: v for k, v in one.items() if v is not None}).encode()) for one in merged]
    signed = ".".join(texts)
    digest = getattr(hashlib, {"HS384": "sha384", "HS512": "sha512"}.get(str(merged[0].get("alg")), "sha256"))
    signature = hmac.new(secret.encode(), signed.encode(), digest).digest()
    return f"{signed}.{'' if merged[0].get('alg') == 'none' else encode(signature)}".encode()


def test_token_names_its_user_and_session(ours: AccessTokens) -> None:
    access = ours.verify(issue(ours))
    assert (access.user_key, access.session_key) == (str(USER), str(SESSION))
    assert access.expires_at == pytest.approx(time.time() + 900, abs=2)


def test_token_has_every_documented_claim(ours: AccessTokens) -> None:
    header, claims = parts(issue(ours))
    assert set(claims) == {"iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp", "typ"}
    assert (header["alg"], header["typ"], claims["typ"]) == ("HS256", "at+jwt", "access")
    assert parts(issue(ours))[1]["jti"] != claims["jti"]


def test_signature_is_hmac_with_the_secret(ours: AccessTokens) -> None:
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
def test_wrong_and_missing_claims_are_refused(ours: AccessTokens, claims: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken):
        ours.verify(forge(issue(ours), claims=claims))


def test_clock_of_another_host_may_be_slightly_ahead(ours: AccessTokens) -> None:
    soon = int(time.time()) + jwt.CLOCK_LEEWAY_SECONDS - 1
    ours.verify(forge(issue(ours), claims={"nbf": soon, "iat": soon}))


@pytest.mark.parametrize("secret", ["", "secret", OTHER])
def test_token_signed_with_another_secret_is_refused(ours: AccessTokens, secret: str) -> None:
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
def test_malformed_token_is_refused(ours: AccessTokens, token: bytes) -> None:
    with pytest.raises(InvalidToken):
        ours.verify(token)


def test_changed_token_is_refused_even_if_the_original_was_verified(ours: AccessTokens) -> None:
    token = issue(ours)
    ours.verify(token)
    # The last character of the signature is skipped, because two of its bits have no meaning.
    for place in range(0, len(token) - 1, 7):
        changed = bytearray(token)
        changed[place] = ord("A") if changed[place] != ord("A") else ord("B")
        with pytest.raises(InvalidToken):
            ours.verify(bytes(changed))


def test_verified_token_is_not_verified_again(ours: AccessTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    token = issue(ours)
    first = ours.verify(token)
    monkeypatch.setattr("jwt.decode", None)
    assert ours.verify(bytes(bytearray(token))) is first


def test_verified_token_expires(ours: AccessTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    token = issue(ours)
    expires_at = ours.verify(token).expires_at
    monkeypatch.setattr("core.auth.credentials.jwt.time.time", lambda: expires_at)
    with pytest.raises(InvalidToken, match="expired"):
        ours.verify(token)


def test_number_of_remembered_tokens_is_bounded(ours: AccessTokens, monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.fixture
def restart() -> Iterator[Callable[[], None]]:
    """Yield a function that forgets the keys, as a restart with other settings does."""
    jwt.access_tokens.cache_clear()
    yield jwt.access_tokens.cache_clear
    jwt.access_tokens.cache_clear()


def test_settings_contain_the_keys(settings: Any, restart: Callable[[], None]) -> None:
    settings.JWT_SECRET, settings.JWT_SECRET_PREVIOUS = SECRET, ""
    token = issue(jwt.access_tokens())
    settings.JWT_SECRET = OTHER
    restart()
    with pytest.raises(InvalidToken):
        jwt.access_tokens().verify(token)
    settings.JWT_SECRET_PREVIOUS = SECRET
    restart()
    jwt.access_tokens().verify(token)


def test_secret_is_not_in_the_repr(ours: AccessTokens) -> None:
    assert SECRET not in repr(vars(ours))


def test_refusal_does_not_repeat_the_token(ours: AccessTokens) -> None:
    with pytest.raises(InvalidToken) as refused:
        ours.verify(forge(issue(ours), claims={"sub": "canary-in-a-claim"}))
    assert "canary" not in str(refused.value)
