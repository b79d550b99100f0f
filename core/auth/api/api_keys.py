"""Routes of API keys."""

from typing import Any

from django.http import HttpResponse
from ninja import Router

from core.api.contract import Failure, Success, documented
from core.api.headers import CACHE_CONTROL
from core.auth import api_keys
from core.auth.api.login import NO_API_KEY
from core.auth.caller import caller_of
from core.auth.credentials.bearer import Bearer, principal_of
from core.auth.models import APIKey
from core.auth.schemas import APIKeyIn, APIKeysOut, NewAPIKeyOut
from core.http.path_ids import parse_id
from core.http.problems import Conflict
from core.http.request import Request
from core.http.responses import NO_STORE, empty_response, json_response
from core.values import rfc3339

KEY = {
    "id": "0199c0de-7a11-7000-8000-0000000000dd",
    "name": "nightly import",
    "scopes": ["items:read", "items:write"],
    "prefix": "k3v9x0q2m7ab",
    "expires_at": None,
    "created_at": "2026-01-31T12:00:00.000000Z",
    "last_used_at": None,
}
NEW_KEY = {**KEY, "key": "ar_k3v9x0q2m7ab_…"}

router = Router(tags=["Accounts"])


@router.post(
    "/api-keys",
    auth=Bearer(),
    **documented(
        success=Success(201, NewAPIKeyOut, headers=[CACHE_CONTROL], example=NEW_KEY),
        example={"name": "nightly import", "scopes": ["items:read", "items:write"]},
        problems=[NO_API_KEY, Failure(Conflict, "The account has 100 API keys: revoke one first.")],
    ),
)
async def make_api_key(request: Request, body: APIKeyIn) -> HttpResponse:
    """Create an API key

    Only this response contains the key. Send it as `Authorization: Bearer ar_…`.
    """
    key, text = await api_keys.make_key(
        principal_of(request),
        name=body.name,
        scopes=body.scopes,
        expires_at=body.expires_at,
        caller=caller_of(request),
    )
    return json_response({**_key(key), "key": text}, status=201, headers=NO_STORE)


@router.get(
    "/api-keys",
    auth=Bearer(),
    **documented(
        success=Success(200, APIKeysOut, headers=[CACHE_CONTROL], example={"api_keys": [KEY]}),
        problems=[NO_API_KEY],
    ),
)
async def list_api_keys(request: Request) -> HttpResponse:
    """List the API keys"""
    keys = await api_keys.list_keys(principal_of(request))
    return json_response({"api_keys": [_key(key) for key in keys]}, headers=NO_STORE)


@router.delete("/api-keys/{key_id}", auth=Bearer(), **documented(success=Success(204), problems=[NO_API_KEY]))
async def revoke_api_key(request: Request, key_id: str) -> HttpResponse:
    """Revoke an API key

    Every process refuses it within a second.
    """
    await api_keys.revoke_key(principal_of(request), parse_id(key_id), caller_of(request))
    return empty_response(headers=NO_STORE)


def _key(key: APIKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": key.scopes.split(),
        "prefix": key.prefix,
        "expires_at": rfc3339(key.expires_at) if key.expires_at else None,
        "created_at": rfc3339(key.created_at),
        "last_used_at": rfc3339(key.last_used_at) if key.last_used_at else None,
    }
