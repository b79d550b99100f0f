"""Access tokens: short-lived JWTs (RFC 7519, RFC 9068), issued and verified by the rules of RFC 8725.

JWT_SECRET signs, and JWT_SECRET_PREVIOUS still verifies.
"""

import hashlib
import time
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

import jwt
from django.conf import settings
from django.utils.crypto import get_random_string

ALGORITHM = "HS256"
ISSUER, AUDIENCE = "agent-router", "agent-router-api"
HEADER_TYPE = "at+jwt"
CLAIM_TYPE = "access"
REQUIRED_CLAIMS = ["iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp", "typ"]
# Allowed difference between the clocks of two hosts, for `nbf` and `iat`. `exp` is exact, because clients can refresh.
CLOCK_LEEWAY_SECONDS = 5
VERIFIED_TOKENS_KEPT = 10_000  # about 1 KiB each
TOKEN_MAX_LENGTH = 2048  # tokens of this service have about 470 bytes


class InvalidToken(Exception):
    """The token is invalid or has expired. The message says which, and repeats nothing of the token."""


class AccessToken(NamedTuple):
    """The verified claims. Keys are UUIDs as canonical text, because every request looks them up."""

    user_key: str
    session_key: str
    expires_at: int


class _Key:
    def __init__(self, secret: str) -> None:
        self.secret = secret.encode()
        self.id = hashlib.sha256(b"agent-router kid " + self.secret).hexdigest()[:16]
        self.header = {"alg": ALGORITHM, "kid": self.id, "typ": HEADER_TYPE}


class AccessTokens:
    """Issues and verifies tokens with one set of keys. Remembers verified tokens, so each is verified once."""

    def __init__(self, *, secret: str, previous: str = "") -> None:
        self._signer = _Key(secret)
        self._keys = {key.id: key for key in (_Key(text) for text in (previous, secret) if text)}
        self._verified: dict[bytes, AccessToken] = {}

    def issue(self, *, user_id: UUID, session_id: UUID, ttl_seconds: int) -> str:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user_id),
            "sid": str(session_id),
            "jti": get_random_string(22),
            "iat": now,
            "nbf": now,
            "exp": now + ttl_seconds,
            "typ": CLAIM_TYPE,
        }
        return jwt.encode(claims, self._signer.secret, ALGORITHM, headers=self._signer.header)

    def verify(self, token: bytes) -> AccessToken:
        """Return the claims of a valid token. Raises InvalidToken. The caller checks whether the session has ended."""
        access = self._verified.get(token)
        if access is None:
            access = self._verify(token)
            self._remember(token, access)
        if access.expires_at <= time.time():
            self._verified.pop(token, None)
            raise InvalidToken("The access token has expired")
        return access

    def _verify(self, token: bytes) -> AccessToken:
        if len(token) > TOKEN_MAX_LENGTH:
            raise InvalidToken("The access token is not valid")
        try:
            claims = self._decode(token)
            # Only canonical text: the ids are compared and looked up as text, so a second spelling must not pass.
            ids = [claims["sub"], claims["sid"]]
            if ids != [str(UUID(text)) for text in ids] or claims["typ"] != CLAIM_TYPE:
                raise InvalidToken("The access token is not valid")
            return AccessToken(user_key=claims["sub"], session_key=claims["sid"], expires_at=int(claims["exp"]))
        except jwt.ExpiredSignatureError as error:
            raise InvalidToken("The access token has expired") from error
        except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise InvalidToken("The access token is not valid") from error

    def _decode(self, token: bytes) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        key = self._keys.get(header["kid"]) if isinstance(header.get("kid"), str) else None
        # The header must be exactly the one that `issue` writes, so an attacker cannot pass `jku`, `jwk` or `crit`.
        if key is None or header != key.header:
            raise InvalidToken("The access token is not valid")
        return jwt.decode(
            token,
            key.secret,
            algorithms=[ALGORITHM],
            issuer=ISSUER,
            audience=AUDIENCE,
            leeway=CLOCK_LEEWAY_SECONDS,
            options={"require": REQUIRED_CLAIMS, "strict_aud": True},
        )

    def _remember(self, token: bytes, access: AccessToken) -> None:
        # The oldest token is dropped first, because it expires first.
        while len(self._verified) >= VERIFIED_TOKENS_KEPT:
            self._verified.pop(next(iter(self._verified)), None)
        self._verified[token] = access


@cache
def access_tokens() -> AccessTokens:
    return AccessTokens(secret=settings.JWT_SECRET, previous=settings.JWT_SECRET_PREVIOUS)
