"""Problems as HTML pages for people who use the admin in a browser, with a link back to the admin."""

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
from core.http.paths import ADMIN_PREFIX
from core.http.problem_responses import KEPT_HEADERS
from core.http.problems import CONTENT_TYPE
from core.http.request import GetResponse, Request
from core.http.responses import ProblemPage
from core.http.security_headers import ADMIN_POLICY

# Advice for people, by slug. The problems' own explanations address programmers.
ADVICE = {
    "forbidden": "Your account does not have this permission. A superuser can grant it.",
    "not-found": "This page does not exist, or its object was deleted.",
    "too-many-requests": "There were too many log-in attempts from your address.",
    "internal-error": "The service has a fault. Its log has the details under the request id below.",
    "service-unavailable": "The database is unavailable or busy. Try again in a moment.",
}


@async_only_middleware
def admin_pages(get_response: GetResponse) -> GetResponse:
    """Turn problems under /admin/ into pages for browsers. Must come before middleware that may refuse a request."""
    if not settings.ADMIN_ENABLED:
        raise MiddlewareNotUsed

    async def middleware(request: Request) -> HttpResponseBase:
        response = await get_response(request)
        if not request.path.startswith(ADMIN_PREFIX) or response.headers.get("Content-Type") != CONTENT_TYPE:
            return response
        return await sync_to_async(_page)(response) if _prefers_html(request) else response

    return middleware


def _prefers_html(request: Request) -> bool:
    accept = request.list_header(b"accept")
    return all(prefers(accept, "text/html", over=other) for other in ("application/json", CONTENT_TYPE))


def _page(response: Any) -> HttpResponse:
    problem = orjson.loads(response.content)
    slug = problem["type"].rpartition("/")[2]
    detail = problem["detail"] if problem["detail"] != problem["title"] else ""
    context = {
        **problem,
        "detail": detail,
        # A detail such as "The form is too old" already gives the reason, and no permission is missing.
        "advice": "" if slug == "forbidden" and detail else ADVICE.get(slug, ""),
        "retry_after": response.headers.get("Retry-After"),
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
