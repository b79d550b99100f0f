"""GET / and GET /v1: name, version and links. GET /admin: a redirect to /admin/."""

from functools import cache

import orjson
from django.conf import settings
from django.http import HttpResponse, HttpResponsePermanentRedirect
from django.template.loader import render_to_string

from core.http.accept import prefers
from core.http.paths import ADMIN_PREFIX
from core.http.request import Request
from core.http.security_headers import PAGE_POLICY
from core.pages.document import StaticDocument

LINKS = {
    "docs": "/docs",
    "openapi": "/openapi.json",
    "live": "/health/live",
    "ready": "/health/ready",
    "metrics": "/metrics",
    "problems": "/problems/",
    "v1": "/v1",
}


async def root(request: Request) -> HttpResponse:
    """Describe the service, in JSON or HTML."""
    if prefers(request.list_header(b"accept"), "text/html", over="application/json"):
        response = _page().respond(request, vary="Accept")
        response["Content-Security-Policy"] = PAGE_POLICY
        return response
    return _json().respond(request, vary="Accept")


async def redirect_to_admin(request: Request) -> HttpResponse:
    return HttpResponsePermanentRedirect(ADMIN_PREFIX)


def describe_service() -> dict[str, object]:
    """Return the members of the JSON response."""
    return {
        "name": settings.APP_NAME,
        "version": settings.APP_VERSION,
        "environment": settings.APP_ENV,
        "links": LINKS | ({"admin": ADMIN_PREFIX} if settings.ADMIN_ENABLED else {}),
    }


@cache
def _json() -> StaticDocument:
    return StaticDocument(orjson.dumps(describe_service()), "application/json")


@cache
def _page() -> StaticDocument:
    return StaticDocument(render_to_string("docs/root.html", describe_service()).encode(), "text/html; charset=utf-8")
