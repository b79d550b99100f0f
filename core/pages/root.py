"""GET / and GET /v1: name, version and links. GET /admin: a redirect to /admin/."""

from functools import cache

from django.conf import settings
from django.http import HttpResponse, HttpResponsePermanentRedirect

from core.http.paths import ADMIN_PREFIX
from core.http.request import Request
from core.pages.document import NegotiatedDocument

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
    return _document().respond(request)


async def redirect_to_admin(request: Request) -> HttpResponse:
    return HttpResponsePermanentRedirect(ADMIN_PREFIX)


def describe_service() -> dict[str, object]:
    return {
        "name": settings.APP_NAME,
        "version": settings.APP_VERSION,
        "environment": settings.APP_ENV,
        "links": LINKS | ({"admin": ADMIN_PREFIX} if settings.ADMIN_ENABLED else {}),
    }


@cache
def _document() -> NegotiatedDocument:
    return NegotiatedDocument(describe_service(), "docs/root.html")
