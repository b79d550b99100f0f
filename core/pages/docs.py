"""GET /docs: Swagger UI, from files of the service itself."""

import asyncio
from functools import cache

from django.conf import settings
from django.http import HttpResponse
from django.template.loader import render_to_string

from core.http.request import Request
from core.http.security_headers import DOCS_POLICY
from core.pages.document import Representation


async def docs(request: Request) -> HttpResponse:
    """The page; what it shows is /openapi.json."""
    # The first rendering reads and compresses Swagger UI for the versions in its URLs: 0.1 s, off the loop.
    page = await asyncio.to_thread(_page)
    response = page.respond(request)
    response["Content-Security-Policy"] = DOCS_POLICY
    return response


@cache
def _page() -> Representation:
    html = render_to_string("docs/docs.html", {"name": settings.APP_NAME})
    return Representation(html.encode(), "text/html; charset=utf-8")
