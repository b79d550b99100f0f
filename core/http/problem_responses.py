"""Problems as responses, including Django's own errors and error pages."""

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

BY_EXCEPTION: list[tuple[type[Exception], type[Problem]]] = [
    (Http404, NotFound),
    (PermissionDenied, Forbidden),
    (RequestDataTooBig, ContentTooLarge),
    (SuspiciousOperation, MalformedRequest),
    (BadRequest, MalformedRequest),
    (MultiPartParserError, MalformedRequest),
]
# Among the problems of one status, the first one in problems.py is the general one.
BY_STATUS = {problem.status: problem for problem in reversed(PROBLEMS.values())}
KEPT_HEADERS = ("Allow", "Retry-After")
# Characters that need no percent-encoding in a path (RFC 3986, section 3.3).
SAFE_IN_PATHS = "/:@!$&'()*+,;="


def problem_of(error: Exception) -> Problem | None:
    """Return the problem of an expected exception, or None. The text of Django's exceptions is never shown."""
    if isinstance(error, Problem):
        return error
    return next((problem() for kind, problem in BY_EXCEPTION if isinstance(error, kind)), None)


def as_problem(request: Request, response: HttpResponseBase) -> HttpResponseBase:
    """Return the response, or a problem in place of an error page."""
    status = response.status_code
    if status < 400 or response.headers.get("Content-Type") == CONTENT_TYPE or isinstance(response, ProblemPage):
        return response
    problem = BY_STATUS.get(status, MalformedRequest if status < 500 else InternalError)()
    problem.headers |= {name: response[name] for name in KEPT_HEADERS if name in response}
    return problem_response(request, problem)


def problem_response(request: Request, problem: Problem) -> HttpResponse:
    # `instance` must be a URI reference, and the server has already decoded the path.
    instance = quote(request.path, safe=SAFE_IN_PATHS)
    body = orjson.dumps(problem.members(instance, request.request_id), option=orjson.OPT_NON_STR_KEYS)
    response = HttpResponse(body, status=problem.status, content_type=CONTENT_TYPE)
    # Without this header caches may store a 404.
    response["Cache-Control"] = "no-store"
    for name, value in problem.headers.items():
        response[name] = value
    return response
