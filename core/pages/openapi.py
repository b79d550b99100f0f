"""GET /openapi.json."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any

import orjson
from django.http import HttpResponse

from core.api.ninja_api import API
from core.http.request import Request
from core.pages.document import Representation


def openapi_view(api: API) -> Callable[..., Coroutine[Any, Any, HttpResponse]]:
    """The view that serves an API's document; it is built once, at the first request for it."""

    @cache
    def build() -> Representation:
        # What describes is loaded no sooner either.
        from core.api.openapi.document import build_document

        return Representation(orjson.dumps(build_document(api)), "application/json")

    async def openapi_document(request: Request) -> HttpResponse:
        document = await asyncio.to_thread(build)
        return document.respond(request)

    return openapi_document
