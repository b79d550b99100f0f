"""Traces: whether anybody listens where they go."""

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from django.conf import settings

from core.operations.doctor.findings import Finding, ok, warning

CONNECT_SECONDS = 2.0
DEFAULT_PORTS = {"http": 4317, "https": 443}


def check() -> Iterator[Finding]:
    """Nothing to find without OTEL_EXPORTER_OTLP_ENDPOINT."""
    endpoint = settings.OTEL_EXPORTER_OTLP_ENDPOINT
    if not endpoint:
        yield ok("OTEL_EXPORTER_OTLP_ENDPOINT is empty: no traces")
        return
    parts = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
    host, port = parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme, 4317)
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except OSError as failure:
        yield warning(
            f"Nobody takes traces at {host}:{port}: {failure}. Requests go on without",
            "Is the collector running? 4317 is its port for gRPC, 4318 for HTTP",
        )
    else:
        yield ok(f"Traces go to {host}:{port}")
