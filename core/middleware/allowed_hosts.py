"""Refuses requests for a host that is not in ALLOWED_HOSTS, on every path.

Django checks the host only where something calls `request.get_host()`; in an API hardly anything does.
"""

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.http.response import HttpResponseBase
from django.utils.decorators import async_only_middleware

from core.http.problem_responses import problem_response
from core.http.problems import HostNotAllowed
from core.http.request import GetResponse, Request

# A wildcard allows any number of hosts; a service answers to a few.
MAX_REMEMBERED = 64


@async_only_middleware
def allowed_hosts(get_response: GetResponse) -> GetResponse:
    """Host must be sent once and be allowed, else 400. X-Forwarded-Host counts for nothing."""
    allowed = list(settings.ALLOWED_HOSTS)
    remembered: set[bytes] = set()

    async def middleware(request: Request) -> HttpResponseBase:
        host = request.raw_headers.get(b"host")
        # As many lines as names: no header is repeated, Host neither.
        if host not in remembered or len(request.raw_headers) != len(request.scope["headers"]):
            if fault := _fault(request, allowed):
                return problem_response(request, HostNotAllowed(fault))
            if host is not None and len(remembered) < MAX_REMEMBERED:
                remembered.add(host)
        return await get_response(request)

    return middleware


def _fault(request: Request, allowed: list[str]) -> str | None:
    """What is wrong with the request's Host, or None."""
    hosts = [value for name, value in request.scope["headers"] if name == b"host"]
    if len(hosts) != 1:
        return "The request has more than one Host header" if hosts else "The request has no Host header"
    domain, _ = split_domain_port(hosts[0].decode("latin-1"))
    if domain and validate_host(domain, allowed):
        return None
    return "The Host header names a host that is not served here"
