"""Access tokens: short-lived JWTs (RFC 7519, RFC 9068), made and verified by the rules of RFC 8725.

One algorithm. The header must be exactly what this service writes, so there is no `jku`, `jwk` or `crit` to
trust. `kid` picks the key: JWT_SECRET signs, JWT_SECRET_PREVIOUS still verifies.

PyJWT is imported where it is used: 5 ms that a worker need not spend before its first answer.
"""

import asyncio
import hashlib
import time
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.crypto import get_random_string

ALGORITHM = "HS256"
ISSUER, AUDIENCE = "agent-router", "agent-router-api"
HEADER_TYPE = "at+jwt"
CLAIM_TYPE = "access"
REQUIRED_CLAIMS = ["iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp", "typ"]
# The clocks of two hosts may differ by this much: for `nbf` and `iat`. `exp` is exact, refreshing costs
# little.
CLOCK_LEEWAY_SECONDS = 5
VERIFIED_TOKENS_KEPT = 10_000  # about 1 KiB each
TOKEN_MAX_LENGTH = 2048  # of a token of ours: about 470


class InvalidToken(Exception):
    """The token is not one of ours, or has expired; the message says which, and nothing of what it holds."""


class AccessToken(NamedTuple):
    """What a verified token says."""

    user_key: str
    session_key: str
    """Ids as canonical text, the form in which they are looked up on every request."""
    expires_at: int


class _Key:
    def __init__(self, secret: str) -> None:
        self.secret = secret.encode()
        self.id = hashlib.sha256(b"agent-router kid " + self.secret).hexdigest()[:16]
        self.header = {"alg": ALGORITHM, "kid": self.id, "typ": HEADER_TYPE}


class AccessTokens:
    """Makes and verifies tokens with one set of keys, and remembers those that it has verified."""

    def __init__(self, *, secret: str, previous: str = "") -> None:
        self._signer = _Key(secret)
        self._keys = {key.id: key for key in (_Key(text) for text in (previous, secret) if text)}
        self._verified: dict[bytes, AccessToken] = {}

    def issue(self, *, user_id: UUID, session_id: UUID, ttl_seconds: int) -> str:
        """A new token of this session, good from now on."""
        import jwt

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
        """What the token says, if it is ours and has not expired; raises InvalidToken. Its session is asked apart.

        A token that was verified before is found by all of its bytes, so nothing unverified can match.
        """
        found = self._verified.get(token)
        if found is None:
            found = self._verified_for_the_first_time(token)
        if found.expires_at <= time.time():
            self._verified.pop(token, None)
            raise InvalidToken("The access token has expired")
        return found

    def _verified_for_the_first_time(self, token: bytes) -> AccessToken:
        import jwt

        if len(token) > TOKEN_MAX_LENGTH:
            raise InvalidToken("The access token is not valid")
        try:
            claims = self._decode(token)
            # Canonical text only: what is compared and looked up must not have a second spelling.
            ids = [claims["sub"], claims["sid"]]
            if ids != [str(UUID(text)) for text in ids] or claims["typ"] != CLAIM_TYPE:
                raise InvalidToken("The access token is not valid")
            access = AccessToken(user_key=ids[0], session_key=ids[1], expires_at=int(claims["exp"]))
        except jwt.ExpiredSignatureError as error:
            raise InvalidToken("The access token has expired") from error
        except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise InvalidToken("The access token is not valid") from error
        self._remember(token, access)
        return access

    def _decode(self, token: bytes) -> dict[str, Any]:
        import jwt

        header = jwt.get_unverified_header(token)
        key = self._keys.get(header["kid"]) if isinstance(header.get("kid"), str) else None
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
        # Tokens expire in about the order in which they first came, so the oldest is the one to forget. To note
        # each use, as an LRU does, would cost every request more than a rare second verification.
        while len(self._verified) >= VERIFIED_TOKENS_KEPT:
            self._verified.pop(next(iter(self._verified)), None)
        self._verified[token] = access


async def warm_up_tokens() -> None:
    """Loads PyJWT in a thread."""
    await asyncio.to_thread(import_module, "jwt")


@cache
def access_tokens() -> AccessTokens:
    """The process's tokens, with the keys of the settings."""
    return AccessTokens(secret=settings.JWT_SECRET, previous=settings.JWT_SECRET_PREVIOUS)


def _forget_keys(*, setting: str, **_: Any) -> None:
    if setting.startswith("JWT_"):
        access_tokens.cache_clear()


setting_changed.connect(_forget_keys)
