"""Tracing: whether the collector accepts connections."""

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from django.conf import settings

from core.operations.doctor.findings import Finding, ok, warning

CONNECT_SECONDS = 2.0
DEFAULT_PORTS = {"http": 4317, "https": 443}


def check() -> Iterator[Finding]:
    endpoint = settings.OTEL_EXPORTER_OTLP_ENDPOINT
    if not endpoint:
        yield ok("OTEL_EXPORTER_OTLP_ENDPOINT is empty: no traces")
        return
    url = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
    host, port = url.hostname or "", url.port or DEFAULT_PORTS.get(url.scheme, 4317)
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except OSError as failure:
        yield warning(
            f"The trace collector at {host}:{port} is unreachable: {failure}. The service runs without traces",
            "Check that it runs. Its port is usually 4317 for gRPC and 4318 for HTTP",
        )
    else:
        yield ok(f"Traces go to {host}:{port}")
