"""Django's own errors and error pages as problems: every 4xx and 5xx of the service is one."""

from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404
from django.http.multipartparser import MultiPartParserError
from django.http.response import HttpResponseBase

from core.errors import (
    CONTENT_TYPE,
    PROBLEMS,
    ContentTooLarge,
    Forbidden,
    InternalError,
    MalformedRequest,
    NotFound,
    Problem,
    problem_response,
)
from core.request import Request
from core.responses import ProblemPage

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
