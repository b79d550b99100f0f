"""Problems as pages: whoever sees one in the admin is a person with a browser, and has to find back."""

from collections.abc import Awaitable
from typing import Any

import orjson
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils.decorators import async_only_middleware

from core.http.accept import prefers
from core.http.problem_responses import KEPT_HEADERS
from core.http.problems import CONTENT_TYPE
from core.http.request import GetResponse, Request
from core.http.responses import ProblemPage
from core.http.security_headers import ADMIN_POLICY

PREFIX = "/admin/"
# What to do about it, where the problem's own words are for those who write programs.
ADVICE = {
    "forbidden": "Your account may not do this. A superuser can give it the permission.",
    "not-found": "There is no such page, or what it showed has been deleted.",
    "too-many-requests": "Too many passwords have come from this address.",
    "internal-error": "This is a fault of the service. Its log tells more, under the request's id.",
    "service-unavailable": "The database is out of reach or busy. Try again in a moment.",
}


@async_only_middleware
def admin_pages(get_response: GetResponse) -> GetResponse:
    """Comes before whatever may refuse a request. Programs, which do not ask for HTML, get problems as ever."""

    if not settings.ADMIN_ENABLED:
        raise MiddlewareNotUsed

    async def serve(request: Request) -> HttpResponseBase:
        response = await get_response(request)
        if response.headers.get("Content-Type") != CONTENT_TYPE or not _is_for_people(request):
            return response
        return await sync_to_async(_page)(response)

    def middleware(request: Request) -> Awaitable[HttpResponseBase]:
        return serve(request) if request.path.startswith(PREFIX) else get_response(request)

    return middleware


def _is_for_people(request: Request) -> bool:
    accept = request.list_header(b"accept")
    return all(prefers(accept, "text/html", over=other) for other in ("application/json", CONTENT_TYPE))


def _page(response: Any) -> HttpResponse:
    told = orjson.loads(response.content)
    slug = told["type"].rpartition("/")[2]
    detail = told["detail"] if told["detail"] != told["title"] else ""
    context = {
        **told,
        "detail": detail,
        # Where the detail says what it is, as of a form that is too old, the general advice would mislead.
        "advice": "" if slug == "forbidden" and detail else ADVICE.get(slug, ""),
        "wait": response.headers.get("Retry-After"),
        "site_header": admin.site.site_header,
        "service_environment": settings.APP_ENV,
    }
    page = ProblemPage(render_to_string("admin/problem.html", context), status=response.status_code)
    page.cookies = response.cookies
    page["Content-Security-Policy"] = ADMIN_POLICY
    page["Cache-Control"] = "no-store"
    for name in KEPT_HEADERS:
        if name in response.headers:
            page[name] = response.headers[name]
    return page
