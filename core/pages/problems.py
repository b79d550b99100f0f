"""The pages to which the `type` of a problem leads: what it means, and what to do about it."""

from functools import cache
from http import HTTPStatus

import orjson
from django.http import HttpResponse
from django.template.loader import render_to_string

from core.http.accept import prefers
from core.http.problem_responses import problem_response
from core.http.problems import PROBLEMS, NotFound, explain, explain_all
from core.http.request import Request
from core.http.security_headers import PAGE_POLICY
from core.pages.document import Representation


async def problem_page(request: Request, slug: str) -> HttpResponse:
    """One problem type, in JSON or as a page."""
    if slug not in PROBLEMS:
        return problem_response(request, NotFound("There is no problem type of this name; /problems/ lists all"))
    return _respond(request, slug)


async def problem_index(request: Request) -> HttpResponse:
    """All problem types."""
    return _respond(request, "")


def _respond(request: Request, slug: str) -> HttpResponse:
    if prefers(request.list_header(b"accept"), "text/html", over="application/json"):
        response = _page(slug).respond(request, vary="Accept")
        response["Content-Security-Policy"] = PAGE_POLICY
        return response
    return _json(slug).respond(request, vary="Accept")


@cache
def _json(slug: str) -> Representation:
    """A type's explanation, or for no slug all of them. Slugs are known ones, so the cache is bounded."""
    told = explain(PROBLEMS[slug]) if slug else {"problems": explain_all()}
    return Representation(orjson.dumps(told), "application/json")


@cache
def _page(slug: str) -> Representation:
    if slug:
        status = HTTPStatus(PROBLEMS[slug].status)
        html = render_to_string("docs/problem.html", explain(PROBLEMS[slug]) | {"phrase": status.phrase})
    else:
        html = render_to_string("docs/problems.html", {"problems": explain_all()})
    return Representation(html.encode(), "text/html; charset=utf-8")
