"""Refusals: requests that the server answers instead of calling their view. Each reason is listed here.

    Status  Reason                                               Decided in              Answered by
    503     MAX_REQUESTS_IN_FLIGHT others are in flight          `refuse_if_overloaded`  `answer_overload`
    413     the body is larger than MAX_BODY_BYTES               request_body.py         the handler, as if the view
    408     the body takes longer than BODY_TIMEOUT_SECONDS      request_body.py           had raised the problem
    503     all unfinished bodies together take too much memory  request_body.py
    503     SHUTDOWN_TIMEOUT_SECONDS are over                    process/draining.py

An overload is answered early in settings.MIDDLEWARE, before anything that costs more. The other refusals come after
host check, authentication and rate limit. Each `ServiceUnavailable` of a view names its cause. connection.py answers
431 to a head that is too large.
"""

from django.conf import settings
from django.http.response import HttpResponseBase
from django.utils.decorators import async_only_middleware

from core.http.problem_responses import problem_response
from core.http.problems import ContentTooLarge, Problem, ServiceUnavailable
from core.http.request import GetResponse, Request
from core.server.admission import admission

# Operators need health and metrics most when the service is overloaded.
NEVER_REFUSED = ("/health/", "/metrics")


class Overload(ServiceUnavailable):
    """The problem of a request that came when too many others were in flight."""


class BodyRefused(Exception):
    """The server stops reading a body. `is_unread`: the client may still be sending the rest."""

    def __init__(self, problem: Problem, *, is_unread: bool) -> None:
        super().__init__(problem.detail)
        self.problem, self.is_unread = problem, is_unread


def refuse_if_overloaded(request: Request) -> bool:
    """Refuse the request if too many others are in flight. Return whether it is refused."""
    if not admission.is_full():
        return False
    request.refusal = Overload("More requests are in flight than can be answered in time")
    return True


@async_only_middleware
def answer_overload(get_response: GetResponse) -> GetResponse:
    async def middleware(request: Request) -> HttpResponseBase:
        if isinstance(request.refusal, Overload):
            return problem_response(request, request.refusal)
        return await get_response(request)

    return middleware


def body_too_large(*, is_unread: bool) -> BodyRefused:
    problem = ContentTooLarge(f"The body is larger than {settings.MAX_BODY_BYTES} bytes")
    return BodyRefused(problem, is_unread=is_unread)


def stopping() -> Problem:
    return ServiceUnavailable("The service is stopping")
