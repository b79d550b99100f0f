"""Traces, received by a real collector."""

import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.otlp_receiver import Receiver, attributes_of, grpc_receiver, http_receiver
from tests.ports import free_port
from tests.redis_server import RedisServer
from tests.running_service import PROJECT, RunningService

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CANARY = "CanarySecret77"

pytestmark = [pytest.mark.slow, pytest.mark.measured]


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with grpc_receiver() as one:
        yield one


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def traced(
    tmp_path_factory: pytest.TempPathFactory, receiver: Receiver, redis_server: RedisServer
) -> Iterator[RunningService]:
    """A service that exports its spans immediately."""
    with RunningService(
        tmp_path_factory.mktemp("traced"),
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint,
        OTEL_BSP_SCHEDULE_DELAY="50",
        REDIS_URL=redis_server.url,
    ) as running:
        yield running


def spans_of(receiver: Receiver, trace_id: str, at_least: int = 1) -> list[Span]:
    """Return the spans of a trace, once the server span has arrived."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = [span for span in list(receiver.spans) if span.trace_id.hex() == trace_id]
        if len(found) >= at_least and any(span.kind == Span.SPAN_KIND_SERVER for span in found):
            return found
        time.sleep(0.02)
    raise AssertionError(f"no server span of {trace_id} among {[span.name for span in receiver.spans]}")


def server_span(spans: list[Span]) -> Span:
    [found] = [span for span in spans if span.kind == Span.SPAN_KIND_SERVER]
    return found


def trace_of(answer: httpx.Response) -> str:
    return answer.headers["traceparent"].split("-")[1]


def test_span_is_named_by_method_and_template(traced: RunningService, receiver: Receiver) -> None:
    with closing(traced.user()) as me:
        answer = me.get("/v1/items/not-an-id?q=secret", headers={"User-Agent": "tests/1"})
    span = server_span(spans_of(receiver, trace_of(answer)))
    attributes = attributes_of(span)
    assert span.name == "GET /v1/items/{item_id}"
    assert not span.parent_span_id
    expected = {
        "http.request.method": "GET",
        "http.route": "/v1/items/{item_id}",
        "http.response.status_code": 404,
        "url.path": "/v1/items/not-an-id",
        "url.scheme": "http",
        "server.address": "127.0.0.1",
        "server.port": traced.port,
        "client.address": "127.0.0.1",
        "user_agent.original": "tests/1",
    }
    assert expected.items() <= attributes.items()
    assert attributes["enduser.id"]
    assert receiver.resources[0]["service.name"] == "Agent Router API"


def test_traceparent_is_continued_and_the_log_has_the_ids(traced: RunningService, receiver: Receiver) -> None:
    trace = secrets.token_hex(16)
    headers = {"traceparent": f"00-{trace}-{CALLER}-01", "X-Request-ID": f"r-{trace}"}
    answer = httpx.get(f"{traced.url}/", headers=headers, trust_env=False)
    span = server_span(spans_of(receiver, trace))
    assert span.parent_span_id.hex() == CALLER
    assert answer.headers["traceparent"] == f"00-{trace}-{span.span_id.hex()}-01"
    deadline = time.monotonic() + 10
    while not (lines := [line for line in traced.log_lines() if line.get("request_id") == f"r-{trace}"]):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    [line] = lines
    assert (line["trace_id"], line["span_id"]) == (trace, span.span_id.hex())


def test_unsampled_traceparent_records_no_span(traced: RunningService, receiver: Receiver) -> None:
    trace, other = secrets.token_hex(16), secrets.token_hex(16)
    for name, sampled in ((trace, "00"), (other, "01")):
        traceparent = f"00-{name}-{CALLER}-{sampled}"
        httpx.get(f"{traced.url}/", headers={"traceparent": traceparent}, trust_env=False)
    spans_of(receiver, other)
    assert not [span for span in receiver.spans if span.trace_id.hex() == trace]


def test_database_and_redis_are_children_of_the_request(traced: RunningService, receiver: Receiver) -> None:
    with closing(traced.user()) as me:
        answer = me.post("/v1/items/", json={"name": "traced"})
    spans = spans_of(receiver, trace_of(answer), at_least=3)
    root = server_span(spans)
    children = [span for span in spans if span.kind == Span.SPAN_KIND_CLIENT]
    systems = {attributes_of(span).get("db.system.name") for span in children}
    assert systems == {"sqlite", "redis"}
    assert {span.parent_span_id for span in children} == {root.span_id}
    assert any("INSERT" in str(attributes_of(span).get("db.query.text")) for span in children)


def test_probes_and_background_tasks_are_not_traced(traced: RunningService, receiver: Receiver) -> None:
    for path in ("/health/live", "/health/ready", "/metrics"):
        answer = httpx.get(traced.url + path, trust_env=False)
        assert "traceparent" not in answer.headers
    spans_of(receiver, trace_of(httpx.get(f"{traced.url}/", trust_env=False)))
    assert {span.kind for span in receiver.spans if not span.parent_span_id} == {Span.SPAN_KIND_SERVER}
    assert not any("health" in span.name or "metrics" in span.name for span in receiver.spans)


def test_unknown_paths_and_methods_share_a_name(traced: RunningService, receiver: Receiver) -> None:
    answer = httpx.request("GET", f"{traced.url}/nope/{CANARY}", trust_env=False)
    assert server_span(spans_of(receiver, trace_of(answer))).name == "GET unmatched"
    answer = httpx.request("PROPFIND", f"{traced.url}/nope", trust_env=False)
    assert server_span(spans_of(receiver, trace_of(answer))).name == "HTTP"


def test_no_secret_gets_into_a_span(traced: RunningService, receiver: Receiver) -> None:
    password = f"{CANARY}-sturdy-horse"
    body = {"email": f"{secrets.token_hex(8)}@example.org", "password": password}
    with traced.client() as client:
        client.post("/v1/auth/register", json=body)
        tokens = client.post("/v1/auth/login", json=body).json()
        bearer = {"Authorization": f"Bearer {tokens['access_token']}", "Cookie": f"a={CANARY}"}
        client.get(f"/v1/items/?q={CANARY}", headers=bearer | {"User-Agent": f"Bearer {CANARY}"})
        answer = client.get(f"/nope/token={CANARY}x{tokens['refresh_token']}", headers=bearer)
    spans_of(receiver, trace_of(answer))
    for secret in (password, tokens["access_token"].rsplit(".")[-1], tokens["refresh_token"], f"{CANARY}x"):
        assert secret.encode() not in receiver.raw
    assert f"Bearer {CANARY}".encode() not in receiver.raw
    assert f"q={CANARY}".encode() not in receiver.raw


@pytest.mark.parametrize(("protocol", "receive"), [("grpc", grpc_receiver), ("http/protobuf", http_receiver)])
def test_last_spans_are_sent_at_shutdown(
    start: Callable[..., RunningService],
    protocol: str,
    receive: Callable[[], AbstractContextManager[Receiver]],
) -> None:
    with receive() as receiver:
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_SERVICE_NAME": "named-by-the-operator",
            # Longer than the test.
            "OTEL_BSP_SCHEDULE_DELAY": "600000",
        }
        service = start(**settings)
        with service.client() as client:
            traces = {trace_of(client.get("/")) for _ in range(50)}
        assert not receiver.spans
        service.stop()
        assert {span.trace_id.hex() for span in receiver.spans} == traces
        assert receiver.resources[0]["service.name"] == "named-by-the-operator"


def test_unreachable_collector_delays_neither_requests_nor_shutdown(start: Callable[..., RunningService]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for endpoint in (f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{silent.getsockname()[1]}"):
            service = start(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_BSP_SCHEDULE_DELAY="10")
            with service.client() as client:
                client.get("/")
                for _ in range(50):
                    began = time.monotonic()
                    assert client.get("/").status_code == 200
                    assert time.monotonic() - began < 1
            began = time.monotonic()
            service.stop()
            assert time.monotonic() - began < 15
            assert not [line for line in service.log_lines() if line["level"] == "CRITICAL"]


def test_without_an_endpoint_tracing_is_not_imported(tmp_path: Path) -> None:
    # redis-py imports other parts of OpenTelemetry.
    parts = ("opentelemetry.sdk.trace", "opentelemetry.instrumentation", "opentelemetry.exporter")
    script = f"import sys, agent_router.asgi; print([name for name in sys.modules if name.startswith({parts})])"
    environment = RunningService(tmp_path, REDIS_URL="").environment
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]", done.stderr
