"""Answers what the handler refuses because the process has too many requests in hand already."""

from django.http.response import HttpResponseBase
from django.utils.decorators import async_only_middleware

from core.http.problem_responses import problem_response
from core.http.problems import ServiceUnavailable
from core.http.request import GetResponse, Request

DETAIL = "More requests have come than can be answered in time"


@async_only_middleware
def overload(get_response: GetResponse) -> GetResponse:
    """Comes after what every answer, line and count needs. 503 with Retry-After for a request that is shed."""

    async def middleware(request: Request) -> HttpResponseBase:
        if request.is_shed:
            return problem_response(request, ServiceUnavailable(DETAIL))
        return await get_response(request)

    return middleware
