"""Responses: JSON that is bytes already, nothing, and a problem as a page."""

from collections.abc import Mapping
from typing import Any

import orjson
from django.http import HttpResponse

JSON = "application/json"
# What belongs to one client: a cache may keep it, and must ask before it uses it again.
PRIVATE = {"Cache-Control": "private, no-cache", "Vary": "Authorization"}
NO_STORE = {"Cache-Control": "no-store", "Vary": "Authorization"}


class ProblemPage(HttpResponse):
    """A problem told to a person, as HTML."""


def json_response(payload: bytes | Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """A response of JSON bytes, or of anything that orjson can make them of. Headers are ASCII, without newlines."""
    body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    response = HttpResponse(body, status=status, content_type=JSON)
    if headers:
        # Django's own way looks through each name and value: 7 µs for those of an item.
        response.headers._store.update((name.lower(), (name, value)) for name, value in headers.items())
    return response


def empty_response(*, status: int = 204, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """A response without a body, and so without a type of it."""
    response = HttpResponse(status=status, headers=headers)
    del response["Content-Type"]
    return response
