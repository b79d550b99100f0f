"""The context of the front page's template: words and numbers, ready to be shown."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import connection
from django.utils.timesince import timesince

from core.admin_site.overview.figures import Samples, Traffic, quantile, traffic_of
from core.admin_site.overview.recent import Span, recent
from core.admin_site.overview.wording import NONE, ms_text, rate_text, share_text, size_text
from core.operations import health
from core.operations.backup.models import LastBackup
from core.process.draining import draining
from core.ratelimit.buckets import make_buckets
from core.ratelimit.policies import policy_name
from core.ratelimit.rates import Rate
from core.redis.client import redis
from core.telemetry import multiprocess
from core.values import now

type Tone = Literal["good", "bad", "warning", "plain"]

MAX_ROUTES = 10
BAD_ERROR_SHARE = 0.001
# Labels of Django's own caches. Every other cache holds a resource.
DJANGO_CACHES = ("locmem", "redis")


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    now: str
    whole: str = ""
    tone: Tone = "plain"


def front_page(request: Any) -> dict[str, Any]:
    """Return the context of the front page's template. Only staff with `view_operations` get the figures."""
    context: dict[str, Any] = {"health": health_panel(), "read_at": now()}
    if not request.user.has_perm("core.view_operations"):
        return context
    try:
        span = recent.span()
    except OSError as error:
        return {**context, "figures_error": str(error)}
    return {
        **context,
        "has_figures": True,
        "scope": scope_text(),
        "recent": recent_text(span),
        "traffic": traffic_panel(span),
        "limits": limits_panel(span),
        "redis_figures": redis_panel(span),
        "database_figures": database_panel(span),
    }


def health_panel() -> dict[str, Any]:
    report = async_to_sync(health.readiness.report)()
    word, tone = "ready", "good"
    if draining.is_draining:
        word, tone = "stopping", "bad"
    elif not report.is_ready:
        word, tone = "not ready", "bad"
    elif report.is_degraded:
        word, tone = "degraded", "warning"
    tones = {"up": "good", "disabled": "plain"}
    checks = [
        {"name": name, **check, "tone": tones.get(check["status"], "bad")} for name, check in report.checks.items()
    ]
    return {"word": word, "tone": tone, "checks": checks}


def scope_text() -> str:
    if multiprocess.is_active():
        count = multiprocess.count_workers()
        workers = "the only worker" if count == 1 else f"all {count} workers"
        return f"These are sums over {workers} of the service on this host, including workers that have ended."
    if multiprocess.is_missing():
        return f"These figures cover only this worker (process {os.getpid()}). Each other worker has its own."
    return f"These figures cover the only process of the service on this host ({os.getpid()})."


def recent_text(span: Span) -> str:
    minutes = round(span.seconds / 60)
    if minutes == 0:
        return f"last {span.seconds:.0f} s"
    return "last minute" if minutes == 1 else f"last {minutes} min"


def traffic_panel(span: Span) -> dict[str, Any]:
    late, late_routes = traffic_of(span.recent)
    whole, whole_routes = traffic_of(span.whole)
    by_requests = sorted(whole_routes, key=lambda route: (-late_routes[route].requests, -whole_routes[route].requests))
    lag_buckets = span.recent.labelled("event_loop_lag_seconds_bucket")
    lag = quantile({float(labels["le"]): value for labels, value in lag_buckets}, 0.99)
    errors = share_text(late.server_error_share), share_text(whole.server_error_share)
    return {
        "figures": [
            Figure("Requests", f"{late.requests:,.0f}", f"{whole.requests:,.0f}"),
            Figure("Requests per second", f"{late.requests / max(span.seconds, 1):.1f}"),
            Figure("Server errors (5xx)", *errors, _error_tone(late)),
            Figure("Client errors (4xx)", share_text(late.client_error_share), share_text(whole.client_error_share)),
            Figure("Latency, median", ms_text(late.quantile_ms(0.5)), ms_text(whole.quantile_ms(0.5))),
            Figure("Latency, 95th percentile", ms_text(late.quantile_ms(0.95)), ms_text(whole.quantile_ms(0.95))),
            Figure("Requests in flight", f"{span.whole.total('django_http_requests_in_flight'):.0f}"),
            Figure("Event loop lag, 99th percentile", ms_text(None if lag is None else lag * 1000)),
        ],
        "routes": [
            {
                "method": method,
                "route": route,
                "requests": f"{late_routes[method, route].requests:,.0f}",
                "whole": f"{whole_routes[method, route].requests:,.0f}",
                "errors": share_text(late_routes[method, route].server_error_share),
                "latency": ms_text(late_routes[method, route].quantile_ms(0.95)),
            }
            for method, route in by_requests[:MAX_ROUTES]
        ],
    }


def limits_panel(span: Span) -> list[dict[str, str]]:
    rows = _limit_rows(span, "default", "each user, or each address without a user", settings.RATE_LIMIT)
    rows += _limit_rows(span, "auth", "each address, for log-in, refresh and registration", settings.RATE_LIMIT_AUTH)
    for route, rates in settings.RATE_LIMIT_ROUTES.items():
        rows += _limit_rows(span, policy_name(*route), "in addition, on this route", rates)
    return rows


def _limit_rows(span: Span, name: str, scope: str, rates: Sequence[Rate]) -> list[dict[str, str]]:
    return [
        {
            "policy": bucket.name,
            "scope": scope,
            "rate": rate_text(bucket.rate),
            "recent": f"{span.recent.total('rate_limited_total', policy=bucket.name):,.0f}",
            "whole": f"{span.whole.total('rate_limited_total', policy=bucket.name):,.0f}",
        }
        for bucket in make_buckets(name, rates)
    ]


def redis_panel(span: Span) -> list[Figure]:
    if redis.state == "disabled":
        limits = Figure("Rate limits", "counted in each process")
        return [Figure("Redis", "not configured"), limits, _cache_hits(span)]
    is_up = redis.state == "up"
    failures, all_failures = (samples.total("redis_failures_total") for samples in (span.recent, span.whole))
    is_open = span.whole.total("redis_breaker_state") > 0
    return [
        Figure("Redis, for this process", redis.state, tone="good" if is_up else "bad"),
        Figure("Circuit breaker", "open" if is_open else "closed", tone="bad" if is_open else "good"),
        Figure("Round trip, mean", _mean_round_trip(span.recent), _mean_round_trip(span.whole)),
        Figure("Failures", f"{failures:,.0f}", f"{all_failures:,.0f}", "warning" if failures else "plain"),
        _cache_hits(span),
    ]


def database_panel(span: Span) -> list[Figure]:
    return [
        Figure("Database", _database_name()),
        Figure("Size", size_text(_database_bytes())),
        Figure("Threads", f"{span.whole.total('db_pool_size'):.0f}"),
        Figure("Waiting and running jobs", f"{span.whole.total('db_pool_jobs'):.0f}"),
        _last_backup(),
    ]


def _cache_hits(span: Span) -> Figure:
    return Figure("Cache hits", _hit_text(span.recent), _hit_text(span.whole))


def _hit_text(samples: Samples) -> str:
    lookups, hits = (
        sum(value for labels, value in samples.labelled(name) if labels["backend"] not in DJANGO_CACHES)
        for name in ("django_cache_get_total", "django_cache_get_hits_total")
    )
    return f"{hits / lookups:.0%} of {lookups:,.0f}" if lookups else NONE


def _mean_round_trip(samples: Samples) -> str:
    count = samples.total("redis_round_trip_seconds_count")
    return ms_text(samples.total("redis_round_trip_seconds_sum") / count * 1000 if count else None)


def _error_tone(traffic: Traffic) -> Tone:
    if traffic.server_error_share is None:
        return "plain"
    return "bad" if traffic.server_error_share >= BAD_ERROR_SHARE else "good"


def _database_name() -> str:
    connection.ensure_connection()
    name = "SQLite" if connection.vendor == "sqlite" else "PostgreSQL"
    return f"{name} {'.'.join(map(str, connection.get_database_version()))}"


def _database_bytes() -> int | None:
    if connection.vendor == "sqlite":
        file = Path(connection.settings_dict["NAME"])
        files = (file, file.with_name(f"{file.name}-wal"))
        return sum(one.stat().st_size for one in files if one.exists())
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        row: tuple[int] | None = cursor.fetchone()
    return row[0] if row else None


def _last_backup() -> Figure:
    last = LastBackup.objects.first()
    if last is None:
        return Figure("Last backup", "none by manage.py backup")
    return Figure("Last backup", f"{timesince(last.created_at)} ago", size_text(last.size_bytes))
