"""GET /metrics."""

import asyncio
import hmac

from django.conf import settings
from django.http import HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from core.http.problems import Unauthorized
from core.http.request import Request
from core.operations.metrics_sampler import sampler
from core.telemetry import multiprocess


async def metrics_view(request: Request) -> HttpResponse:
    """Raise Unauthorized if METRICS_TOKEN is set and the request's bearer token differs."""
    if settings.METRICS_TOKEN and not _has_token(request, settings.METRICS_TOKEN):
        sent = b"authorization" in request.raw_headers
        challenge = 'Bearer realm="metrics"' + (', error="invalid_token"' if sent else "")
        raise Unauthorized("Send METRICS_TOKEN as a bearer token", headers={"WWW-Authenticate": challenge})
    sampler.sample()
    # Rendering thousands of series takes several milliseconds, which would block the event loop.
    text = await asyncio.to_thread(render)
    return HttpResponse(text, content_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})


def _has_token(request: Request, token: str) -> bool:
    scheme, _, sent = request.raw_headers.get(b"authorization", b"").partition(b" ")
    return scheme.lower() == b"bearer" and hmac.compare_digest(sent.strip(), token.encode())


def render() -> bytes:
    if multiprocess.is_active():
        with multiprocess.all_workers() as registry:
            return generate_latest(registry)
    return generate_latest(REGISTRY)
