"""Django's own errors and error pages as problems: every 4xx and 5xx of the service is one."""

from urllib.parse import quote

import orjson
from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.http.response import HttpResponseBase

from core.http.problems import (
    CONTENT_TYPE,
    PROBLEMS,
    ContentTooLarge,
    Forbidden,
    InternalError,
    MalformedRequest,
    NotFound,
    Problem,
)
from core.http.request import Request
from core.http.responses import ProblemPage

OF_EXCEPTION: list[tuple[type[Exception], type[Problem]]] = [
    (Http404, NotFound),
    (PermissionDenied, Forbidden),
    (RequestDataTooBig, ContentTooLarge),
    (SuspiciousOperation, MalformedRequest),
    (BadRequest, MalformedRequest),
    (MultiPartParserError, MalformedRequest),
]
# Of several problems with one status the first is the general one.
OF_STATUS = {problem.status: problem for problem in reversed(PROBLEMS.values())}
KEPT_HEADERS = ("Allow", "Retry-After")
# Characters that need no escape in a path (RFC 3986, section 3.3).
IN_PATHS = "/:@!$&'()*+,;="


def problem_of(error: Exception) -> Problem | None:
    """The problem that an exception stands for; None for one that nobody expected. Its text is not told."""
    if isinstance(error, Problem):
        return error
    return next((problem() for kind, problem in OF_EXCEPTION if isinstance(error, kind)), None)


def as_problem(request: Request, response: HttpResponseBase) -> HttpResponseBase:
    """The response itself, or a problem in the place of an error page."""
    status = response.status_code
    is_told = response.headers.get("Content-Type") == CONTENT_TYPE or isinstance(response, ProblemPage)
    if status < 400 or is_told:
        return response
    problem = OF_STATUS.get(status, MalformedRequest if status < 500 else InternalError)()
    problem.headers |= {name: response[name] for name in KEPT_HEADERS if name in response}
    return problem_response(request, problem)


def problem_response(request: Request, problem: Problem) -> HttpResponse:
    """The problem as an `application/problem+json` response."""
    # A URI reference, which the path that the server has decoded may not be.
    instance = quote(request.path, safe=IN_PATHS)
    body = orjson.dumps(problem.members(instance, request.request_id), option=orjson.OPT_NON_STR_KEYS)
    response = HttpResponse(body, status=problem.status, content_type=CONTENT_TYPE)
    # It is this client's, and of this moment: there are caches that keep a 404 which does not say so.
    response["Cache-Control"] = "no-store"
    for name, value in problem.headers.items():
        response[name] = value
    return response
