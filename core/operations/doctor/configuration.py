"""Settings. Invalid settings end the command before this check."""

from collections.abc import Iterator

from django.conf import settings
from django.core import checks

from core.operations.doctor.findings import Finding, error, info, ok, warning

LOCAL_HOSTS = {"localhost", "127.0.0.1", "[::1]", ".localhost"}


def check() -> Iterator[Finding]:
    yield ok(f"{settings.APP_NAME} {settings.APP_VERSION}, APP_ENV is {settings.APP_ENV}")
    yield from _system_checks()
    if settings.IS_PRODUCTION:
        yield from _production()


def _system_checks() -> Iterator[Finding]:
    messages = checks.run_checks(include_deployment_checks=settings.IS_PRODUCTION)
    messages = [message for message in messages if not message.is_silenced()]
    for message in messages:
        level = error if message.level >= checks.ERROR else warning if message.level >= checks.WARNING else info
        yield level(f"{message.id}: {message.msg}", message.hint or "")
    if not messages:
        yield ok("Django's system checks pass")


def _production() -> Iterator[Finding]:
    if LOCAL_HOSTS.issuperset(settings.ALLOWED_HOSTS):
        yield warning(
            "ALLOWED_HOSTS contains only this machine: requests to other host names get 400",
            "Add the host names that clients use, for example ALLOWED_HOSTS='[\"api.example.org\"]'",
        )
    for origin in settings.CORS_ALLOWED_ORIGINS:
        if origin.startswith("http://"):
            yield warning(
                f"CORS_ORIGINS allows {origin} without TLS: an attacker on the network can change its pages and use "
                "their sessions",
                "List only https:// origins; CORS_ORIGINS='[]' allows none",
            )
    if settings.LOG_LEVEL == "DEBUG":
        yield warning("LOG_LEVEL is DEBUG: logging is slow and may show data of users", "Set LOG_LEVEL=INFO")
    if not settings.METRICS_TOKEN:
        yield info(
            "METRICS_TOKEN is empty: every client that can reach /metrics can read it",
            "Set METRICS_TOKEN, or block /metrics at the proxy",
        )


def check_proxies() -> Iterator[Finding]:
    """Check TRUSTED_PROXIES, which determines the address of a client."""
    proxies = settings.TRUSTED_PROXIES
    if any(network.prefixlen == 0 for network in proxies.networks):
        yield error(
            "TRUSTED_PROXIES trusts every address: clients can choose their address, and so evade rate limits",
            "List the networks of the proxies, or set the number of proxies",
        )
    elif proxies.hops:
        yield info(
            f"TRUSTED_PROXIES trusts the last {proxies.hops} addresses of X-Forwarded-For",
            "Make sure that this is the number of proxies, and that clients cannot bypass them",
        )
    elif proxies:
        yield ok(f"TRUSTED_PROXIES trusts {', '.join(map(str, proxies.networks))}")
    elif settings.IS_PRODUCTION:
        yield warning(
            "TRUSTED_PROXIES is empty: behind a proxy, all clients share the proxy's address and one rate limit",
            "Set it to the proxy's address or network, unless clients connect directly",
        )
    else:
        yield ok("TRUSTED_PROXIES is empty: a client's address is the address of its connection")
