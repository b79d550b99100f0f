"""Authentication. Nobody is refused here, because some operations need no credentials."""

import logging

from django.http.response import HttpResponseBase
from django.utils.decorators import async_only_middleware

from core.auth.credentials.identify import identify
from core.http.paths import API_PREFIX
from core.http.problems import InternalError, Problem
from core.http.request import GetResponse, Request

logger = logging.getLogger(__name__)


@async_only_middleware
def authentication(get_response: GetResponse) -> GetResponse:
    """Set `request.principal` below /v1/, or `request.credentials_problem`, which `Bearer` raises where it matters."""

    async def middleware(request: Request) -> HttpResponseBase:
        header = request.raw_headers.get(b"authorization")
        if header is not None and request.path.startswith(API_PREFIX):
            try:
                request.principal = await identify(request, header)
            except Problem as problem:
                # The traceback would keep the request in a reference cycle.
                request.credentials_problem = problem.with_traceback(None)
            except Exception:
                logger.exception("Credentials could not be checked")
                request.credentials_problem = InternalError()
        return await get_response(request)

    return middleware
