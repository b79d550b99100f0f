"""GET /problems/ and /problems/{slug}: the pages that the `type` of a problem links to."""

from functools import cache
from http import HTTPStatus

from django.http import HttpResponse

from core.http.problem_responses import problem_response
from core.http.problems import PROBLEMS, NotFound, explain, explain_all
from core.http.request import Request
from core.pages.document import NegotiatedDocument


async def problem_page(request: Request, slug: str) -> HttpResponse:
    if slug not in PROBLEMS:
        return problem_response(request, NotFound("There is no problem type of this name; /problems/ lists all"))
    return _explanation(slug).respond(request)


async def problem_index(request: Request) -> HttpResponse:
    return _list().respond(request)


@cache
def _explanation(slug: str) -> NegotiatedDocument:
    phrase = HTTPStatus(PROBLEMS[slug].status).phrase
    return NegotiatedDocument(explain(PROBLEMS[slug]), "docs/problem.html", phrase=phrase)


@cache
def _list() -> NegotiatedDocument:
    return NegotiatedDocument({"problems": explain_all()}, "docs/problems.html")
