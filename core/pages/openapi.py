"""GET /openapi.json."""

import asyncio

import orjson
from django.http import HttpResponse

from core.api.ninja_api import API
from core.api.openapi.document import build_document
from core.http.request import Request
from core.pages.document import StaticDocument


class OpenAPIPage:
    """The OpenAPI document of an API, built at the first request for the document."""

    def __init__(self, api: API) -> None:
        self._api = api
        self._document: StaticDocument | None = None

    async def get(self, request: Request) -> HttpResponse:
        if self._document is None:
            self._document = await asyncio.to_thread(self._build)
        return self._document.respond(request)

    def _build(self) -> StaticDocument:
        return StaticDocument(orjson.dumps(build_document(self._api)), "application/json")
