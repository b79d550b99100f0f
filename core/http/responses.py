"""Responses with JSON bytes, without a body, and with a problem as a page."""

from collections.abc import Mapping
from typing import Any

import orjson
from django.http import HttpResponse

JSON = "application/json"
# Only the client's own cache may store the response, and must revalidate it before each use.
PRIVATE = {"Cache-Control": "private, no-cache", "Vary": "Authorization"}
NO_STORE = {"Cache-Control": "no-store", "Vary": "Authorization"}


class ProblemPage(HttpResponse):
    """A problem as an HTML page for people."""


def json_response(payload: bytes | Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    return HttpResponse(body, status=status, content_type=JSON, headers=headers)


def empty_response(*, status: int = 204, headers: Mapping[str, str] | None = None) -> HttpResponse:
    response = HttpResponse(status=status, headers=headers)
    del response["Content-Type"]
    return response
