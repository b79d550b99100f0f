"""A server span around each request, made by opentelemetry-instrumentation-django.

The instrumentation's middleware is synchronous. This middleware calls its steps on the event loop instead of a thread.
"""

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.core.handlers.asgi import ASGIRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import async_only_middleware

from core.http.request import GetResponse, Request, view_name
from core.middleware.access_log import CLIENT_CLOSED_REQUEST
from core.redis.client import redis
from core.telemetry.logs import request_fields
from core.telemetry.redaction import redact_path, redact_text
from core.telemetry.tracing import tracing

if TYPE_CHECKING:
    from opentelemetry.trace import Span

SECRET_HEADERS = frozenset({b"authorization", b"cookie", b"proxy-authorization"})


class _TracedRequest(ASGIRequest):
    """The request without query string and credentials. The instrumentation keeps its own state in META."""

    def __init__(self, request: Request) -> None:
        template = request.route.template if request.route else None
        scope = request.scope
        self.method, self.path = request.method, redact_path(request.path, template)
        self.META: dict[str, Any] = {}
        self.resolver_match = SimpleNamespace(route=view_name(request))  # type: ignore[assignment]
        self.scope = {
            **scope,
            "path": self.path,
            "query_string": b"",
            "client": (request.client_ip, scope["client"][1]) if scope.get("client") else None,
            "headers": [
                (name, redact_text(value.decode("latin-1")).encode("latin-1", "replace"))
                for name, value in scope["headers"]
                if name not in SECRET_HEADERS
            ],
        }

    def build_absolute_uri(self, location: str | None = None) -> str:
        # The instrumentation uses the URI only to skip excluded paths.
        return self.path


@async_only_middleware
def server_span(get_response: GetResponse) -> GetResponse:
    """Continue the client's trace. Must come after the client's address and before the access log."""
    if not settings.OTEL_EXPORTER_OTLP_ENDPOINT:
        raise MiddlewareNotUsed
    from core.telemetry.tracing_setup import SPAN_KEY, make_machinery

    tracing.start(redis)
    instrumentation = make_machinery()

    async def middleware(request: Request) -> HttpResponseBase:
        traced = _TracedRequest(request)
        instrumentation.process_request(traced)
        instrumentation.process_view(traced, None)
        if span := traced.META.get(SPAN_KEY):
            _propagate_ids(request, span)
            if server := request.scope.get("server"):
                # The instrumentation appends the port, which `server.port` already has.
                span.set_attribute("server.address", server[0])
        response: Any = SimpleNamespace(status_code=500, items=tuple)
        try:
            response = await get_response(request)
        except asyncio.CancelledError:
            response.status_code = CLIENT_CLOSED_REQUEST
            raise
        else:
            return response  # type: ignore[no-any-return]
        finally:
            if span and request.principal is not None:
                span.set_attribute("enduser.id", request.principal.user_key)
            instrumentation.process_response(traced, response)

    return middleware


def _propagate_ids(request: Request, span: "Span") -> None:
    context = span.get_span_context()
    trace_id, span_id = f"{context.trace_id:032x}", f"{context.span_id:016x}"
    request_fields.set({**request_fields.get(), "trace_id": trace_id, "span_id": span_id})
    traceparent = f"00-{trace_id}-{span_id}-{context.trace_flags:02x}"
    request.response_headers.append((b"traceparent", traceparent.encode()))
