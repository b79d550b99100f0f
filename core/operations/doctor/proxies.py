"""Who may say where a request comes from."""

from collections.abc import Iterator

from django.conf import settings

from core.operations.doctor.findings import Finding, error, info, ok, warning


def check() -> Iterator[Finding]:
    """TRUSTED_PROXIES, as far as it can be judged from here."""
    proxies = settings.TRUSTED_PROXIES
    if any(network.prefixlen == 0 for network in proxies.networks):
        yield error(
            "TRUSTED_PROXIES trusts everybody: a client chooses its own address, and so its own limit",
            "Name the networks of the proxies, or how many there are",
        )
    elif proxies.hops:
        yield info(
            f"The nearest {proxies.hops} addresses of X-Forwarded-For are believed (TRUSTED_PROXIES)",
            "It must be exactly the number of proxies, and nobody may reach the service around them",
        )
    elif proxies:
        yield ok(f"Proxies are trusted in {', '.join(map(str, proxies.networks))}")
    elif settings.IS_PRODUCTION:
        yield warning(
            "TRUSTED_PROXIES is empty: behind a proxy all clients share its address, and with it one limit",
            "Set it to the proxy's address or network, unless clients connect directly",
        )
    else:
        yield ok("No proxy is trusted: the peer's address counts")
