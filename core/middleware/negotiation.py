"""Accept: the API answers in JSON, and says so to whoever excludes it (RFC 9110, section 12.5.1)."""

from collections.abc import Awaitable, Callable

from django.http.response import HttpResponseBase
from django.utils.decorators import async_only_middleware

from core.errors import NotAcceptable, problem_response
from core.negotiation import accepts
from core.request import Request

type GetResponse = Callable[[Request], Awaitable[HttpResponseBase]]

API_PREFIX = "/v1/"
JSON = "application/json"
USUAL = frozenset({None, b"*/*", b"application/json"})


@async_only_middleware
def negotiation(get_response: GetResponse) -> GetResponse:
    """Answers 406 below /v1 when the Accept header leaves no room for JSON."""

    async def middleware(request: Request) -> HttpResponseBase:
        accept = request.list_header(b"accept")
        if accept not in USUAL and request.path.startswith(API_PREFIX) and not accepts(accept, JSON):
            return problem_response(request, NotAcceptable())
        return await get_response(request)

    return middleware
