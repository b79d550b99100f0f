"""The access log: one log line and one count for each request."""

import logging
from asyncio import CancelledError
from datetime import UTC, datetime
from time import perf_counter

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import async_only_middleware

from core.http.request import GetResponse, Request, view_name
from core.telemetry.logs import request_fields
from core.telemetry.metrics import count_request
from core.telemetry.redaction import redact_path

MESSAGE = "Request processed"
# nginx's status for a client that disconnected before its response. It is logged, never sent.
CLIENT_CLOSED_REQUEST = 499

logger = logging.getLogger("agent_router.access")
# Building a record and finding its caller would take 4 µs per request, for nothing that a line shows.
_TEMPLATE = {"name": logger.name, "msg": MESSAGE, "levelno": logging.INFO, "levelname": "INFO"}
_RECORD = vars(logging.makeLogRecord(_TEMPLATE))


@async_only_middleware
def access_log(get_response: GetResponse) -> GetResponse:
    """Log and count each request. Must come after request id and client address, and before any refusal."""

    async def middleware(request: Request) -> HttpResponseBase:
        status, size = 500, None
        try:
            response = await get_response(request)
            status = response.status_code
            if isinstance(response, HttpResponse):
                size = len(response.content)
        except CancelledError:
            status = CLIENT_CLOSED_REQUEST
            raise
        else:
            return response
        finally:
            duration = perf_counter() - request.started
            count_request(request.method, view_name(request), status, duration)
            if logger.isEnabledFor(logging.INFO):
                _log(request, status, size, duration)

    return middleware


def _log(request: Request, status: int, size: int | None, duration: float) -> None:
    template = request.route.template if request.route else None
    ids = request_fields.get()
    principal = request.principal
    fields = {
        "timestamp": datetime.now(UTC),
        "level": "INFO",
        "message": MESSAGE,
        "logger": "agent_router.access",
        "correlation_id": request.request_id,
        "request_id": request.request_id,
        "trace_id": ids.get("trace_id"),
        "span_id": ids.get("span_id"),
        "method": request.method,
        "path": redact_path(request.path, template),
        "route": template,
        "status": status,
        "duration_ms": int(duration * 1_000_000) / 1000,
        "user_id": principal and principal.user_key,
        "client": request.client_ip,
        "response_bytes": size,
    }
    record = logging.LogRecord.__new__(logging.LogRecord)
    record.__dict__ = {**_RECORD, "access_fields": fields}
    logger.handle(record)
