"""What the front page shows, in words and numbers that are ready to be read."""

import os
from collections.abc import Iterable
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

MOST_ROUTES = 10
# From this share of 5xx on, a figure is not shown as good any more.
WORRYING_SHARE = 0.001


@dataclass(frozen=True, slots=True)
class Figure:
    """A name, its value of late and in all, and whether that is good."""

    name: str
    now: str
    whole: str = ""
    tone: Tone = "plain"


def health_panel() -> dict[str, Any]:
    """The checks of /health/ready, and what they come to."""
    report = async_to_sync(health.readiness.report)()
    tone: Tone = "warning" if report.is_degraded else "good"
    word = "degraded" if report.is_degraded else "ready"
    if draining.is_draining or not report.is_ready:
        tone, word = "bad", "stopping" if draining.is_draining else "not ready"
    tones = {"up": "good", "disabled": "plain"}
    checks = [
        {"name": name, **found, "tone": tones.get(found["status"], "bad")} for name, found in report.checks.items()
    ]
    return {"word": word, "tone": tone, "checks": checks}


def scope_text() -> str:
    """Whose figures these are."""
    if multiprocess.is_active():
        count = multiprocess.count_workers()
        workers = "the one worker" if count == 1 else f"all {count} workers"
        return f"Sums of {workers} of the service on this host, those that have ended included."
    if multiprocess.is_missing():
        return f"Of this worker alone (process {os.getpid()}): the others have figures of their own."
    return f"Of this process alone ({os.getpid()}), which is all of the service on this host."


def recent_text(span: Span) -> str:
    """How long "of late" is."""
    minutes = round(span.seconds / 60)
    return "last minute" if minutes == 1 else f"last {minutes} min" if minutes else f"last {span.seconds:.0f} s"


def traffic_panel(span: Span) -> dict[str, Any]:
    """Requests of the API, how they ended and how long they took; and the busiest routes."""
    late, routes_late = traffic_of(span.recent)
    whole, routes = traffic_of(span.whole)
    busiest = sorted(routes, key=lambda route: (-routes_late[route].requests, -routes[route].requests))[:MOST_ROUTES]
    lag = span.recent.labelled("event_loop_lag_seconds_bucket")
    lag_seconds = quantile({float(labels["le"]): value for labels, value in lag}, 0.99)
    errors = share_text(late.server_error_share), share_text(whole.server_error_share)
    return {
        "figures": [
            Figure("Requests", f"{late.requests:,.0f}", f"{whole.requests:,.0f}"),
            Figure("Requests a second", f"{late.requests / max(span.seconds, 1):.1f}"),
            Figure("Server errors (5xx)", *errors, _tone_of(late)),
            Figure("Client errors (4xx)", share_text(late.client_error_share), share_text(whole.client_error_share)),
            Figure("Latency, median", ms_text(late.quantile_ms(0.5)), ms_text(whole.quantile_ms(0.5))),
            Figure("Latency, 95 %", ms_text(late.quantile_ms(0.95)), ms_text(whole.quantile_ms(0.95))),
            Figure("In flight", f"{span.whole.total('django_http_requests_in_flight'):.0f}"),
            Figure("Event loop lag, 99 %", ms_text(None if lag_seconds is None else lag_seconds * 1000)),
        ],
        "routes": [
            {
                "method": method,
                "route": view,
                "requests": f"{routes_late[method, view].requests:,.0f}",
                "whole": f"{routes[method, view].requests:,.0f}",
                "errors": share_text(routes_late[method, view].server_error_share),
                "latency": ms_text(routes_late[method, view].quantile_ms(0.95)),
            }
            for method, view in busiest
        ],
    }


def limits_panel(span: Span) -> list[dict[str, str]]:
    """The rate limits as they are set, and how many requests each has refused."""

    def rows(name: str, who: str, rates: Iterable[Rate]) -> list[dict[str, str]]:
        return [
            {
                "policy": bucket.name,
                "who": who,
                "rate": rate_text(bucket.rate),
                "recent": f"{_refused(span.recent, bucket.name):,.0f}",
                "whole": f"{_refused(span.whole, bucket.name):,.0f}",
            }
            for bucket in make_buckets(name, list(rates))
        ]

    found = rows("default", "each user, or address without one", settings.RATE_LIMIT)
    found += rows("auth", "each address that sends passwords or refreshes", settings.RATE_LIMIT_AUTH)
    for route, rates in settings.RATE_LIMIT_ROUTES.items():
        found += rows(policy_name(*route), "in addition, on this route", rates)
    return found


def redis_panel(span: Span) -> list[Figure]:
    """Redis as this process sees it, and what it is good for."""
    if redis.state == "disabled":
        return [
            Figure("Redis", "not configured"),
            Figure("Rate limits", "counted in each process"),
            _hit_rate(span),
        ]
    is_up = redis.state == "up"
    trips = "redis_round_trip_seconds"
    failures = [samples.total("redis_failures_total") for samples in (span.recent, span.whole)]
    is_open = span.whole.total("redis_breaker_state") > 0
    return [
        Figure("Redis, for this process", redis.state, tone="good" if is_up else "bad"),
        Figure("Circuit breaker", "open" if is_open else "closed", tone="bad" if is_open else "good"),
        Figure("Round trip, mean", _mean_ms(span.recent, trips), _mean_ms(span.whole, trips)),
        Figure("Failures", f"{failures[0]:,.0f}", f"{failures[1]:,.0f}", "warning" if failures[0] else "plain"),
        _hit_rate(span),
    ]


def database_panel(span: Span) -> list[Figure]:
    """Which database it is, how large, how busy, and when it was backed up."""
    jobs = span.whole.total("db_pool_jobs")
    return [
        Figure("Database", _database_name()),
        Figure("Size", size_text(_database_bytes())),
        Figure("Threads", f"{span.whole.total('db_pool_size'):.0f}"),
        Figure("Jobs that wait or run", f"{jobs:.0f}"),
        _backup(),
    ]


def _hit_rate(span: Span) -> Figure:
    return Figure("Cache hits", _hits(span.recent), _hits(span.whole))


def _hits(samples: Samples) -> str:
    asked, hits = (
        samples.total("django_cache_get_total", _is_item),
        samples.total("django_cache_get_hits_total", _is_item),
    )
    return f"{hits / asked:.0%} of {asked:,.0f}" if asked else NONE


def _is_item(labels: dict[str, str]) -> bool:
    return labels["backend"] == "item"


def _refused(samples: Samples, policy: str) -> float:
    return samples.total("rate_limited_total", lambda labels: labels["policy"] == policy)


def _mean_ms(samples: Samples, name: str) -> str:
    count = samples.total(f"{name}_count")
    return ms_text(samples.total(f"{name}_sum") / count * 1000 if count else None)


def _tone_of(traffic: Traffic) -> Tone:
    share = traffic.server_error_share
    return "plain" if share is None else "bad" if share >= WORRYING_SHARE else "good"


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
        found: tuple[int] | None = cursor.fetchone()
    return found[0] if found else None


def _backup() -> Figure:
    last = LastBackup.objects.first()
    if last is None:
        return Figure("Last backup", "never by manage.py backup")
    return Figure("Last backup", f"{timesince(last.created_at)} ago", size_text(last.size_bytes))


def front_page(request: Any) -> dict[str, Any]:
    """What the template of the front page needs."""
    told: dict[str, Any] = {"health": health_panel(), "looked_at": now()}
    if not request.user.has_perm("core.view_operations"):
        return told
    try:
        span = recent.span()
    except OSError as error:
        return {**told, "figures_missing": str(error)}
    return {
        **told,
        "has_figures": True,
        "scope": scope_text(),
        "recent": recent_text(span),
        "traffic": traffic_panel(span),
        "limits": limits_panel(span),
        "redis_figures": redis_panel(span),
        "database_figures": database_panel(span),
    }
