"""Content negotiation: the API responds with JSON only (RFC 9110, section 12.5.1)."""

from django.http.response import HttpResponseBase
from django.utils.decorators import async_only_middleware

from core.http.accept import accepts
from core.http.paths import API_PREFIX
from core.http.problem_responses import problem_response
from core.http.problems import NotAcceptable
from core.http.request import GetResponse, Request

JSON = "application/json"
USUAL = frozenset({None, b"*/*", b"application/json"})


@async_only_middleware
def negotiation(get_response: GetResponse) -> GetResponse:
    """Return 406 below /v1/ if the Accept header excludes JSON."""

    async def middleware(request: Request) -> HttpResponseBase:
        accept = request.list_header(b"accept")
        if accept not in USUAL and request.path.startswith(API_PREFIX) and not accepts(accept, JSON):
            return problem_response(request, NotAcceptable())
        return await get_response(request)

    return middleware
