"""Trusted proxies, which determine the address of a client."""

from collections.abc import Iterator

from django.conf import settings

from core.operations.doctor.findings import Finding, error, info, ok, warning


def check() -> Iterator[Finding]:
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
