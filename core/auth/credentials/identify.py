"""Finds the principal of an Authorization header (RFC 6750)."""

import hmac

from core.auth.credentials import revocation
from core.auth.credentials.jwt import InvalidToken, access_tokens
from core.auth.credentials.key_usage import key_usage
from core.auth.digests import secret_digest
from core.auth.models import KEY_PREFIX_LENGTH
from core.http.principal import Principal
from core.http.problems import Unauthorized
from core.http.request import Request

KEY_START = b"ar_"
KEY_SECRET_LENGTH = 43  # of 62 characters: 256 bits
KEY_LENGTH = len(KEY_START) + KEY_PREFIX_LENGTH + 1 + KEY_SECRET_LENGTH

CHALLENGE = {"WWW-Authenticate": "Bearer"}
INVALID_TOKEN_CHALLENGE = {"WWW-Authenticate": 'Bearer error="invalid_token"'}


async def identify(request: Request, header: bytes) -> Principal | None:
    """Return the principal of the header, or None for an empty header. Raises Unauthorized, ServiceUnavailable."""
    # Servers disagree about which of several Authorization headers counts.
    if sum(name == b"authorization" for name, _ in request.scope["headers"]) > 1:
        raise invalid_token("There is more than one Authorization header")
    scheme, _, token = header.strip().partition(b" ")
    token = token.strip()
    if not scheme:
        return None
    if scheme.lower() != b"bearer" or not token:
        raise missing_credentials()
    if token.startswith(KEY_START):
        return await _identify_by_key(request, token)
    return await _identify_by_access_token(token)


def missing_credentials() -> Unauthorized:
    return Unauthorized("Send Authorization: Bearer, with an access token or an API key", headers=CHALLENGE)


def invalid_token(detail: str) -> Unauthorized:
    return Unauthorized(detail, headers=INVALID_TOKEN_CHALLENGE)


def session_ended() -> Unauthorized:
    return invalid_token("The session of this access token has ended")


async def _identify_by_access_token(token: bytes) -> Principal:
    try:
        access = access_tokens().verify(token)
    except InvalidToken as error:
        raise invalid_token(str(error)) from None
    session = await revocation.session_cache.get(access.session_key)
    if session is None or session.principal.user_key != access.user_key:
        raise session_ended()
    return session.principal


async def _identify_by_key(request: Request, token: bytes) -> Principal:
    parts = token.decode("ascii", "replace").split("_")
    if len(token) != KEY_LENGTH or len(parts) != 3 or len(parts[1]) != KEY_PREFIX_LENGTH:
        raise invalid_token("The API key is malformed")
    _, prefix, secret = parts
    key = await revocation.api_key_cache.get(prefix)
    if key is None or not hmac.compare_digest(secret_digest(secret), key.secret_digest):
        raise invalid_token("The API key is unknown, expired or revoked")
    assert key.principal.api_key_id is not None
    key_usage.note(key.principal.api_key_id, request.client_ip)
    return key.principal
