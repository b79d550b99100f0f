"""The admin's front page: correct health and figures, with the processes that they cover."""

import asyncio
import re
import time
from collections.abc import Callable

import httpx
import pytest
from django.test import RequestFactory

from core.admin_site.overview import recent as recent_module
from core.admin_site.overview.figures import Samples, quantile, take_samples, traffic_of
from core.admin_site.overview.panels import front_page, recent_text, redis_panel, scope_text
from core.admin_site.overview.recent import Recent, Span
from core.admin_site.overview.wording import ms_text, rate_text, share_text, size_text
from core.auth.models import User
from core.ratelimit.rates import Rate
from core.telemetry import multiprocess
from core.telemetry.metrics import count_request
from tests.redis_server import RedisServer
from tests.running_service import RunningService
from tests.staff_browser import Browser
from tests.waiting import PATIENCE_SECONDS

VIEW = "/v1/test-of-the-overview/"
ROUTE = ("GET", VIEW)


# Figures


def test_traffic_is_counted_by_route_and_status() -> None:
    before = take_samples()
    for status, seconds in ((200, 0.0004), (200, 0.003), (404, 0.003), (503, 0.2)):
        count_request("GET", VIEW, status, seconds)
    count_request("GET", "/health/ready", 200, 9.0)
    whole, routes = traffic_of(take_samples() - before)
    assert set(routes) >= {ROUTE}
    route = routes[ROUTE]
    assert (route.requests, route.client_errors, route.server_errors) == (4, 1, 1)
    assert (route.server_error_share, route.client_error_share) == (0.25, 0.25)
    assert route.quantile_ms(0.5) == pytest.approx(3.75)
    assert whole.requests == sum(one.requests for one in routes.values()), (
        "health checks and the admin are not API traffic"
    )


def test_quantiles_equal_prometheus() -> None:
    buckets = {0.1: 10.0, 0.5: 20.0, 1.0: 40.0, float("inf"): 40.0}
    assert quantile(buckets, 0.25) == pytest.approx(0.1)
    assert quantile(buckets, 0.5) == pytest.approx(0.5)
    assert quantile(buckets, 0.75) == pytest.approx(0.75)
    assert quantile({0.1: 0.0, float("inf"): 5.0}, 0.9) == 0.1, "the last bucket has no upper limit"
    assert quantile({0.1: 0.0, float("inf"): 0.0}, 0.5) is None
    assert quantile({}, 0.5) is None


def test_difference_subtracts_counters_and_keeps_gauges() -> None:
    earlier = Samples({"redis_failures_total": {(): 5.0}, "db_pool_jobs": {(): 5.0}})
    now = Samples({"redis_failures_total": {(): 7.0}, "db_pool_jobs": {(): 1.0}, "rate_limited_total": {(): 3.0}})
    since = now - earlier
    assert [since.total(name) for name in ("redis_failures_total", "db_pool_jobs", "rate_limited_total")] == [2, 1, 3]
    assert (earlier - now).total("redis_failures_total") == 0, "never negative"


def test_recent_counts_differ_from_totals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_module, "INTERVAL_SECONDS", 0.001)

    async def run() -> tuple[float, float]:
        recent = Recent()
        count_request("GET", VIEW, 200, 0.001)
        await recent.open()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while traffic_of(recent.span().recent)[1][ROUTE].requests:  # noqa: ASYNC110  # samples signal no event
                await asyncio.sleep(0.001)
        # The oldest kept samples are from before this request.
        monkeypatch.setattr(recent_module, "INTERVAL_SECONDS", 1000)
        count_request("GET", VIEW, 200, 0.001)
        span = recent.span()
        await recent.close()
        return traffic_of(span.recent)[1][ROUTE].requests, traffic_of(span.whole)[1][ROUTE].requests

    late, whole = asyncio.run(run())
    assert late == 1
    assert whole >= 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (share_text(None), "–"),
        (share_text(0.0), "0.0 %"),
        (share_text(0.0004), "< 0.1 %"),
        (share_text(0.125), "12.5 %"),
        (ms_text(None), "–"),
        (ms_text(1.25), "1.2 ms"),
        (ms_text(1234.5), "1,234 ms"),
        (rate_text(Rate(100, 60)), "100 a minute"),
        (rate_text(Rate(5000, 3600)), "5,000 an hour"),
        (rate_text(Rate(5, 90)), "5 in 90 s"),
        (size_text(None), "–"),
        (size_text(512), "512 B"),
        (size_text(5 * 1024**2 + 512 * 1024), "5.5 MiB"),
        (size_text(300 * 1024**3), "300 GiB"),
    ],
)
def test_numbers_are_formatted(text: str, expected: str) -> None:
    assert text == expected


def test_cache_hits_of_all_resources_are_counted() -> None:
    def of(**counts: float) -> dict[tuple[tuple[str, str], ...], float]:
        return {(("backend", backend),): count for backend, count in counts.items()}

    lookups, hits = of(item=3, order=7, locmem=90), of(item=1, order=4, locmem=90)
    samples = Samples({"django_cache_get_total": lookups, "django_cache_get_hits_total": hits})
    figure = redis_panel(Span(samples, 60, samples))[-1]
    assert (figure.name, figure.now, figure.whole) == ("Cache hits", "50% of 10", "50% of 10")


# The page


def section(page: str, name: str) -> str:
    """Return the text of a section of the page, without tags."""
    found = re.search(rf'<section[^>]* id="{name}-module".*?</section>', page, re.DOTALL)
    assert found, name
    return " ".join(re.sub(r"<[^>]+>", " ", found[0]).split())


def test_health_panel_shows_the_readiness_checks(boss: Browser) -> None:
    text = section(boss.get("/admin/"), "health")
    assert re.fullmatch(r"Ready Database up, [\d.]+ ms Migrations up, [\d.]+ ms Redis disabled", text)


def test_figures_show_the_traffic(start: Callable[..., RunningService]) -> None:
    service = start(RATE_LIMIT="3/minute;100/hour", RATE_LIMIT_ROUTES='{"POST /v1/items/": "2/minute"}')
    me = service.user()
    assert [me.get("/v1/items/").status_code for _ in range(5)] == [200] * 3 + [429] * 2
    with Browser(service) as boss:
        assert boss.log_in().status_code == 302
        page = boss.get("/admin/")
    me.close()
    assert re.search(r"Requests 7 7 ", section(page, "traffic"))
    assert "Server errors (5xx) 0.0 % 0.0 %" in section(page, "traffic")
    assert "Client errors (4xx) 28.6 % 28.6 %" in section(page, "traffic")
    assert re.search(r"GET /v1/items/ 5 5 0.0 % [\d.]+ ms", section(page, "routes"))
    limits = section(page, "limits")
    assert "default each user, or each address without a user 3 a minute 2 2" in limits
    assert "default-2 each user, or each address without a user 100 an hour 0 0" in limits
    assert "POST /v1/items in addition, on this route 2 a minute 0 0" in limits
    assert "not configured" in section(page, "redis")
    assert re.search(r"Database (SQLite|PostgreSQL) \d+\.\d+", section(page, "database"))
    assert "only process of the service" in page


def test_reload_updates_the_figures(boss: Browser, me: httpx.Client) -> None:
    def count() -> int:
        found = re.search(r"Requests ([\d,]+) ", section(boss.get("/admin/"), "traffic"))
        assert found
        return int(found[1].replace(",", ""))

    before = count()
    for _ in range(3):
        me.get("/v1/items/")
    assert count() == before + 3


@pytest.mark.slow
@pytest.mark.measured
def test_figures_are_sums_over_all_workers(start: Callable[..., RunningService]) -> None:
    service = start(workers=2)
    with service.client(headers={"Connection": "close"}) as anonymous, Browser(service) as boss:
        for _ in range(20):
            anonymous.get("/v1/items/")
        assert boss.log_in().status_code == 302
        page = boss.get("/admin/")
    assert "GET /v1/items/" in section(page, "routes")
    assert re.search(r"GET /v1/items/ \d+ 20 ", section(page, "routes"))
    assert "sums over all 2 workers" in page


def test_redis_panel_shows_an_outage(start: Callable[..., RunningService]) -> None:
    with RedisServer() as redis:
        service = start(REDIS_URL=redis.url)
        me = service.user()
        item = me.post("/v1/items/", json={"name": "cached"}).json()
        for _ in range(4):
            me.get(f"/v1/items/{item['id']}")
        me.close()
        with Browser(service) as boss:
            assert boss.log_in().status_code == 302
            text = section(boss.get("/admin/"), "redis")
            assert "Redis, for this process up" in text
            assert "Circuit breaker closed" in text
            assert re.search(r"Cache hits \d+% of 4", text)
            redis.kill()
            deadline = time.monotonic() + 30
            while not (text := section(boss.get("/admin/"), "health")).startswith("Degraded"):
                assert time.monotonic() < deadline, text
            assert "Redis down" in text
            assert "Circuit breaker open" in section(boss.get("/admin/"), "redis")


def test_figures_need_a_permission(staff: Callable[..., Browser]) -> None:
    page = staff("view_item").get("/admin/")
    assert section(page, "health").startswith("Ready")
    assert "traffic-module" not in page
    assert "limits-module" not in page
    page = staff("view_operations").get("/admin/")
    assert "traffic-module" in page
    assert "/admin/items/item/" not in page


def test_page_loads_nothing_from_other_hosts(boss: Browser) -> None:
    page = boss.get("/admin/")
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page)
    assert not re.findall(r"<script>|<style|\bstyle=|\bon\w+=", page)


def test_scope_of_a_worker_without_shared_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocess, "is_missing", lambda: True)
    assert "cover only this worker" in scope_text()


@pytest.mark.parametrize(("seconds", "text"), [(8, "last 8 s"), (61, "last minute"), (300, "last 5 min")])
def test_recent_span_is_worded(seconds: float, text: str) -> None:
    assert recent_text(Span(Samples({}), seconds, Samples({}))) == text


def test_page_works_without_readable_metrics(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> None:
    def broken() -> Samples:
        raise OSError("no space left")

    monkeypatch.setattr(recent_module, "take_samples", broken)
    request = RequestFactory().get("/admin/")
    request.user = User(is_superuser=True, is_active=True)
    context = front_page(request)
    assert context["figures_error"] == "no space left"
    assert "health" in context
    assert "traffic" not in context
