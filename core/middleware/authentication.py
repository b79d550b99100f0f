"""Finds out who a request acts for; refuses nobody by itself, since some operations need no credentials."""

import logging

from django.http.response import HttpResponseBase
from django.utils.decorators import async_only_middleware

from core.auth.credentials.identify import identify
from core.http.problems import InternalError, Problem
from core.http.request import GetResponse, Request

logger = logging.getLogger(__name__)


@async_only_middleware
def authentication(get_response: GetResponse) -> GetResponse:
    """Sets `request.principal`, or `request.credentials_problem` when what was sent is no good.

    Below /v1 only.
    """

    async def middleware(request: Request) -> HttpResponseBase:
        header = request.raw_headers.get(b"authorization")
        if header is not None and request.path.startswith("/v1/"):
            try:
                request.principal = await identify(request, header)
            except Problem as problem:
                # Without its traceback, which would hold the request in a reference cycle.
                request.credentials_problem = problem.with_traceback(None)
            except Exception:
                logger.exception("Credentials could not be checked")
                request.credentials_problem = InternalError()
        return await get_response(request)

    return middleware
