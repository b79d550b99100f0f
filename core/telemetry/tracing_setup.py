"""Sets up OpenTelemetry from the OTEL_* variables. Imported only when tracing is enabled."""

import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from django.conf import settings
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.instrumentation.django.middleware.otel_middleware import _DjangoMiddleware
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanKind

SPAN_KEY = _DjangoMiddleware._environ_span_key
# Traces of probes and scrapes are noise.
NOT_TRACED = "^/health/,^/metrics$"


class CommandClient(Protocol):
    @property
    def configured(self) -> bool: ...

    async def call(self, commands: Sequence[Any]) -> list[Any] | None: ...


class RequestsOnly(Sampler):
    """Drops spans outside of requests, such as queries of background tasks; another sampler decides on the rest."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def should_sample(
        self,
        parent_context: otel_context.Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        *others: Any,
        **more: Any,
    ) -> SamplingResult:
        parent = trace.get_current_span(parent_context).get_span_context()
        if kind is not SpanKind.SERVER and not parent.is_valid:
            return SamplingResult(Decision.DROP)
        return self._sampler.should_sample(parent_context, trace_id, name, kind, *others, **more)

    def get_description(self) -> str:
        return f"RequestsOnly({self._sampler.get_description()})"


def make_provider() -> TracerProvider:
    attributes = {SERVICE_VERSION: settings.APP_VERSION}
    is_named = "OTEL_SERVICE_NAME" in os.environ
    if not is_named and "service.name=" not in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        attributes[SERVICE_NAME] = settings.APP_NAME
    # `Tracing.close` shuts the provider down. At interpreter exit it could wait for half a minute.
    provider = TracerProvider(resource=Resource.create(attributes), shutdown_on_exit=False)
    provider.sampler = RequestsOnly(provider.sampler)
    provider.add_span_processor(BatchSpanProcessor(_exporter()))
    trace.set_tracer_provider(provider)
    return provider


def _exporter() -> SpanExporter:
    general = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    if os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", general).startswith("http"):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HTTPExporter

        return HTTPExporter()
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GRPCExporter

    return GRPCExporter()


def instrument(provider: TracerProvider, redis: CommandClient) -> None:
    # The stable semantic conventions, unless the operator chooses otherwise.
    os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http,database")
    excluded = None if "OTEL_PYTHON_DJANGO_EXCLUDED_URLS" in os.environ else NOT_TRACED
    # The instrumentor adds its synchronous middleware to the settings; core/middleware/server_span.py calls it instead.
    middleware = settings.MIDDLEWARE
    settings.MIDDLEWARE = []
    DjangoInstrumentor().instrument(tracer_provider=provider, excluded_urls=excluded)
    settings.MIDDLEWARE = middleware
    for instrumentor in (SQLite3Instrumentor(), PsycopgInstrumentor(), RedisInstrumentor()):
        instrumentor.instrument(tracer_provider=provider, skip_dep_check=True)
    # The service's own Redis client does not use redis-py, so RedisInstrumentor does not see its commands.
    setattr(redis, "call", _traced(redis, provider.get_tracer("agent_router")))  # noqa: B010


def make_machinery() -> Any:
    return _DjangoMiddleware(None)  # type: ignore[no-untyped-call]


def _traced(redis: CommandClient, tracer: trace.Tracer) -> Callable[[Sequence[Any]], Awaitable[list[Any] | None]]:
    """Wrap the Redis client's `call` in a span, which shows the names of commands but no keys or values."""
    call = redis.call

    async def traced_call(commands: Sequence[Any]) -> list[Any] | None:
        if not redis.configured:
            return await call(commands)
        name = " ".join(map(_command_name, commands))
        about = {"db.system.name": "redis", "db.operation.name": name}
        with tracer.start_as_current_span(name, kind=SpanKind.CLIENT, attributes=about) as span:
            replies = await call(commands)
            if replies is None:
                span.set_attribute("error.type", "unavailable")
            return replies

    return traced_call


def _command_name(command: Any) -> str:
    if not isinstance(command, tuple):  # a prepacked script
        return "EVALSHA"
    name = command[0]
    return name.decode() if isinstance(name, bytes) else str(name)
