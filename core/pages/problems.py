"""GET /problems/ and /problems/{slug}: the pages that the `type` of a problem links to."""

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
from core.pages.document import StaticDocument


async def problem_page(request: Request, slug: str) -> HttpResponse:
    """Explain one problem type, in JSON or HTML."""
    if slug not in PROBLEMS:
        return problem_response(request, NotFound("There is no problem type of this name; /problems/ lists all"))
    return _respond(request, slug)


async def problem_index(request: Request) -> HttpResponse:
    """Explain all problem types, in JSON or HTML."""
    return _respond(request, "")


def _respond(request: Request, slug: str) -> HttpResponse:
    if prefers(request.list_header(b"accept"), "text/html", over="application/json"):
        response = _page(slug).respond(request, vary="Accept")
        response["Content-Security-Policy"] = PAGE_POLICY
        return response
    return _json(slug).respond(request, vary="Accept")


# Callers pass only known slugs, or "" for the index, so the caches are bounded.
@cache
def _json(slug: str) -> StaticDocument:
    explanation = explain(PROBLEMS[slug]) if slug else {"problems": explain_all()}
    return StaticDocument(orjson.dumps(explanation), "application/json")


@cache
def _page(slug: str) -> StaticDocument:
    if slug:
        status = HTTPStatus(PROBLEMS[slug].status)
        html = render_to_string("docs/problem.html", explain(PROBLEMS[slug]) | {"phrase": status.phrase})
    else:
        html = render_to_string("docs/problems.html", {"problems": explain_all()})
    return StaticDocument(html.encode(), "text/html; charset=utf-8")
