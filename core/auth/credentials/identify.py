"""From the Authorization header to a principal (RFC 6750).

The way of every request: with a token and session that were seen lately it is a handful of dictionary
look-ups.
"""

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
INVALID_TOKEN = {"WWW-Authenticate": 'Bearer error="invalid_token"'}


async def identify(request: Request, header: bytes) -> Principal | None:
    """The principal of these credentials; None for an empty header.

    Raises Unauthorized when they are no good, ServiceUnavailable when the database cannot be asked.
    """
    if len(request.raw_headers) != len(request.scope["headers"]):
        _refuse_repeated(request)
    if header[:7] != b"Bearer ":
        header = _normalized(header)
        if not header:
            return None
    token = header[7:].strip()
    if not token:
        raise missing()
    if token.startswith(KEY_START):
        return await _identify_by_key(request, token)
    return await _identify_by_token(token)


def missing() -> Unauthorized:
    """The answer to a request without a bearer token."""
    return Unauthorized("Send Authorization: Bearer, with an access token or an API key", headers=CHALLENGE)


def unauthorized(detail: str) -> Unauthorized:
    """The answer to a bearer token that is not valid."""
    return Unauthorized(detail, headers=INVALID_TOKEN)


def ended() -> Unauthorized:
    """The answer to an access token whose session, or whose user, is gone."""
    return unauthorized("The session of this access token has ended")


async def _identify_by_token(token: bytes) -> Principal:
    try:
        access = access_tokens().verify(token)
    except InvalidToken as error:
        raise unauthorized(str(error)) from None
    standing = await revocation.sessions.get(access.session_key)
    if standing is None or standing.principal.user_key != access.user_key:
        raise ended()
    return standing.principal


async def _identify_by_key(request: Request, token: bytes) -> Principal:
    parts = token.decode("ascii", "replace").split("_")
    if len(token) != KEY_LENGTH or len(parts) != 3 or len(parts[1]) != KEY_PREFIX_LENGTH:
        raise unauthorized("The API key is malformed")
    _, prefix, secret = parts
    standing = await revocation.api_keys.get(prefix)
    if standing is None or not hmac.compare_digest(secret_digest(secret), standing.secret_digest):
        raise unauthorized("The API key is not valid, or not any more")
    assert standing.principal.api_key_id is not None
    key_usage.note(standing.principal.api_key_id, request.client_ip)
    return standing.principal


def _refuse_repeated(request: Request) -> None:
    """Two Authorization headers are two opinions of who this is.

    Which one would count is a question of luck.
    """
    if sum(name == b"authorization" for name, _ in request.scope["headers"]) > 1:
        raise unauthorized("There is more than one Authorization header")


def _normalized(header: bytes) -> bytes:
    """The header with its scheme written `Bearer `; empty if there is nothing in it.

    Raises for other schemes.
    """
    scheme, _, token = header.strip().partition(b" ")
    if not scheme:
        return b""
    if scheme.lower() != b"bearer":
        raise missing()
    return b"Bearer " + token
