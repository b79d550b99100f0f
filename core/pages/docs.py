"""GET /openapi.json, and GET /docs: Swagger UI, from files that the service serves itself."""

import asyncio
from functools import cache

import orjson
from django.conf import settings
from django.http import HttpResponse
from django.template.loader import render_to_string

from core.api.ninja_api import API
from core.api.openapi.document import build_document
from core.http.request import Request
from core.http.security_headers import DOCS_POLICY
from core.pages.document import HTML, JSON, StaticDocument


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
        return StaticDocument(orjson.dumps(build_document(self._api)), JSON)


async def docs(request: Request) -> HttpResponse:
    # The first call reads and compresses Swagger UI for the versions in its URLs, which takes 0.1 s.
    page = await asyncio.to_thread(_swagger_ui)
    response = page.respond(request)
    response["Content-Security-Policy"] = DOCS_POLICY
    return response


@cache
def _swagger_ui() -> StaticDocument:
    return StaticDocument(render_to_string("docs/docs.html", {"name": settings.APP_NAME}).encode(), HTML)
