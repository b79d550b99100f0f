"""GET /metrics: bounded series, a token, and correct sums of several workers."""

import asyncio
import time
from collections.abc import Callable, Iterable

import httpx
import pytest
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from pytest_django import Settings

from core.operations.metrics_sampler import Sampler
from core.telemetry import metrics, multiprocess
from core.telemetry.log_writer import stdout
from tests.asgi_client import fetch
from tests.running_service import RunningService

COUNT = "django_http_responses_total_by_status_view_method_total"
LATENCY_COUNT = "django_http_requests_latency_seconds_by_view_method_count"
TOKEN = "scrape-me-0123456789abcdef"


def samples(text: str) -> list[Sample]:
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def series() -> set[str]:
    return {line.rpartition(" ")[0] for line in generate_latest(REGISTRY).decode().splitlines() if line[0] != "#"}


def total(found: Iterable[Sample], name: str, **labels: str) -> float:
    return sum(sample.value for sample in found if sample.name == name and labels.items() <= sample.labels.items())


def scrape(service: RunningService) -> list[Sample]:
    return samples(httpx.get(f"{service.url}/metrics", trust_env=False).text)


def test_request_is_counted_by_template_method_and_status() -> None:
    labels = {"view": "/v1/things/{thing_id}", "method": "PATCH"}
    metrics.count_request("PATCH", "/v1/things/{thing_id}", 412, 0.004)
    metrics.count_request("PATCH", "/v1/things/{thing_id}", 412, 7.0)
    assert REGISTRY.get_sample_value(COUNT, {**labels, "status": "412"}) == 2
    assert REGISTRY.get_sample_value(LATENCY_COUNT, labels) == 2
    bucket = LATENCY_COUNT.replace("_count", "_bucket")
    assert REGISTRY.get_sample_value(bucket, {**labels, "le": "0.005"}) == 1
    assert REGISTRY.get_sample_value(bucket, {**labels, "le": "+Inf"}) == 2


def test_clients_cannot_create_series() -> None:
    fetch("/nope", method="GET")
    fetch("/nope", method="BREW0")
    fetch("/v1/items/0")
    before = series()
    for number in range(200):
        fetch(f"/nope/{number}?{number}")
        fetch("/nope", method=f"BREW{number}")
        fetch(f"/v1/items/{number}", x_request_id=f"id-{number}", user_agent=f"agent-{number}")
    assert series() == before
    assert REGISTRY.get_sample_value(COUNT, {"view": "unmatched", "method": "OTHER", "status": "404"})
    assert metrics._series.cache_info().currsize < 100


def test_response_is_prometheus_text_and_not_cached() -> None:
    answer = fetch("/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert answer.headers["cache-control"] == "no-store"
    names = {one.name for one in samples(answer.text)}
    assert {
        COUNT,
        LATENCY_COUNT,
        "django_http_requests_in_flight",
        "db_pool_size",
        "db_pool_jobs",
        "redis_up",
        "idempotent_replays_total",
        "auth_refresh_reuse_total",
        "event_loop_lag_seconds_count",
        "log_lines_dropped_total",
    } <= names


def test_scrape_counts_itself_as_in_flight() -> None:
    assert total(samples(fetch("/metrics").text), "django_http_requests_in_flight") == 1


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Basic {TOKEN}",
        "Bearer wrong",
        f"Bearer {TOKEN[:-1]}g",
        f"Bearer {TOKEN}x",
        TOKEN,
    ],
)
def test_wrong_token_is_refused(settings: Settings, sent: str) -> None:
    settings.METRICS_TOKEN = TOKEN
    answer = fetch("/metrics", authorization=sent)
    assert answer.status == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == 'Bearer realm="metrics", error="invalid_token"'
    assert answer.json()["type"] == "/problems/unauthorized"


def test_token_is_accepted(settings: Settings) -> None:
    settings.METRICS_TOKEN = TOKEN
    assert fetch("/metrics").headers["www-authenticate"] == 'Bearer realm="metrics"'
    assert fetch("/metrics", authorization=f"Bearer {TOKEN}").status == 200
    assert fetch("/metrics", authorization=f"bearer {TOKEN}").status == 200


def test_sampler_measures_the_lag_of_the_loop_and_sets_the_versions() -> None:
    def lag_seconds() -> float:
        return REGISTRY.get_sample_value("event_loop_lag_seconds_sum") or 0

    async def main() -> None:
        sampler = Sampler()
        await sampler.open()
        before = lag_seconds()
        # Block the loop for longer than the sampler sleeps.
        await asyncio.sleep(0)
        time.sleep(0.7)  # noqa: ASYNC251
        await asyncio.sleep(0.1)
        assert 0.15 < lag_seconds() - before < 5
        await sampler.close()

    asyncio.run(main())
    info = [one for one in samples(generate_latest(REGISTRY).decode()) if one.name == "agent_router_build_info"]
    assert [(one.value, set(one.labels)) for one in info] == [(1, {"version", "django", "python"})]


def test_dropped_log_lines_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = Sampler()
    sampler.sample()
    before = REGISTRY.get_sample_value("log_lines_dropped_total") or 0
    monkeypatch.setattr(stdout, "_refused_lines", stdout._refused_lines + 3)
    for _ in range(2):
        sampler.sample()
    assert REGISTRY.get_sample_value("log_lines_dropped_total") == before + 3


def test_workers_without_a_shared_directory_log_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(multiprocess, "is_missing", lambda: True)

    async def main() -> None:
        sampler = Sampler()
        await sampler.open()
        await sampler.close()

    asyncio.run(main())
    assert "Each worker reports only its own metrics" in caplog.text


@pytest.mark.slow
def test_each_worker_reports_all_workers_and_no_files_remain(
    start: Callable[..., RunningService],
) -> None:
    service = start(workers=2)
    client = service.user()
    asked = 0
    while asked < 40:
        httpx.get(f"{service.url}/nope", trust_env=False)
        asked += 1
    for _ in range(10):
        found = scrape(service)
        assert total(found, COUNT, view="unmatched") == asked
        assert total(found, LATENCY_COUNT, view="unmatched") == asked
    deadline = time.monotonic() + 30
    found = scrape(service)
    # The service counts migrations shortly after its start.
    while not any(one.name == "django_migrations_unapplied_total" for one in found):
        assert time.monotonic() < deadline
        time.sleep(0.1)
        found = scrape(service)
    # One series, not a series for each process id.
    [migrations] = [one for one in found if one.name == "django_migrations_unapplied_total"]
    assert (migrations.value, migrations.labels) == (0, {"connection": "default"})
    names = {one.name for one in found}
    assert {"process_open_fds", "process_cpu_seconds_total", "db_pool_wait_seconds_count"} <= names
    statements = total(found, "django_db_execute_total")
    client.get("/v1/items/")
    # Another worker may have run the statement.
    while total(scrape(service), "django_db_execute_total") <= statements:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    client.close()
    directories = f"agent-router-metrics-*-{service.port}"
    assert list(multiprocess.MEMORY.glob(directories))
    assert service.stop() is not None
    assert not list(multiprocess.MEMORY.glob(directories))
