"""GET /docs: Swagger UI, from files that the service serves itself."""

import asyncio
from functools import cache

from django.conf import settings
from django.http import HttpResponse
from django.template.loader import render_to_string

from core.http.request import Request
from core.http.security_headers import DOCS_POLICY
from core.pages.document import StaticDocument


async def docs(request: Request) -> HttpResponse:
    """Return the page, which shows /openapi.json."""
    # The first call reads and compresses Swagger UI for the versions in its URLs, which takes 0.1 s.
    page = await asyncio.to_thread(_page)
    response = page.respond(request)
    response["Content-Security-Policy"] = DOCS_POLICY
    return response


@cache
def _page() -> StaticDocument:
    html = render_to_string("docs/docs.html", {"name": settings.APP_NAME})
    return StaticDocument(html.encode(), "text/html; charset=utf-8")
