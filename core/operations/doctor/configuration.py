"""The settings themselves. What is plainly wrong with one has ended the command before this."""

from collections.abc import Iterator

from django.conf import settings
from django.core import checks

from core.operations.doctor.findings import Finding, error, info, ok, warning

LOCAL_HOSTS = {"localhost", "127.0.0.1", "[::1]", ".localhost"}


def check() -> Iterator[Finding]:
    """Django's system checks, and what does not go with the environment that APP_ENV names."""
    yield ok(f"{settings.APP_NAME} {settings.APP_VERSION}, APP_ENV is {settings.APP_ENV}")
    yield from _system_checks()
    if settings.IS_PRODUCTION:
        yield from _production()


def _system_checks() -> Iterator[Finding]:
    found = [
        one for one in checks.run_checks(include_deployment_checks=settings.IS_PRODUCTION) if not one.is_silenced()
    ]
    for one in found:
        make = error if one.level >= checks.ERROR else warning if one.level >= checks.WARNING else info
        yield make(f"{one.id}: {one.msg}", one.hint or "")
    if not found:
        yield ok("Django's system checks find nothing")


def _production() -> Iterator[Finding]:
    if LOCAL_HOSTS.issuperset(settings.ALLOWED_HOSTS):
        yield warning(
            "ALLOWED_HOSTS names this machine alone: whoever comes by another name gets 400",
            "Set it to the names that clients use, such as ALLOWED_HOSTS='[\"api.example.org\"]'",
        )
    for origin in settings.CORS_ALLOWED_ORIGINS:
        if origin.startswith("http://"):
            yield warning(
                f"CORS_ORIGINS lets {origin} in: whoever is between can change its pages and use their log-ins",
                "Name https:// origins only; CORS_ORIGINS='[]' lets no page in",
            )
    if settings.LOG_LEVEL == "DEBUG":
        yield warning("LOG_LEVEL is DEBUG: slow, and more than a log should hold", "Set LOG_LEVEL=INFO")
    if not settings.METRICS_TOKEN:
        yield info(
            "METRICS_TOKEN is empty: whoever reaches /metrics may read it",
            "Set it, or have the proxy in front keep /metrics to itself",
        )
