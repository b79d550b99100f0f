"""Check the Host header on every path. Django checks it only if something calls `request.get_host()`."""

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.http.response import HttpResponseBase
from django.utils.decorators import async_only_middleware

from core.http.problem_responses import problem_response
from core.http.problems import HostNotAllowed
from core.http.request import GetResponse, Request

# A wildcard in ALLOWED_HOSTS allows any number of hosts, which must not fill the memory.
MAX_REMEMBERED = 64


@async_only_middleware
def allowed_hosts(get_response: GetResponse) -> GetResponse:
    """Return 400 unless Host is sent once and is allowed. X-Forwarded-Host is ignored."""
    allowed = list(settings.ALLOWED_HOSTS)
    remembered: set[bytes] = set()

    async def middleware(request: Request) -> HttpResponseBase:
        host = request.raw_headers.get(b"host")
        # If there are as many lines as names, no header is repeated.
        if host not in remembered or len(request.raw_headers) != len(request.scope["headers"]):
            if fault := _fault(request, allowed):
                return problem_response(request, HostNotAllowed(fault))
            if host is not None and len(remembered) < MAX_REMEMBERED:
                remembered.add(host)
        return await get_response(request)

    return middleware


def _fault(request: Request, allowed: list[str]) -> str | None:
    hosts = [value for name, value in request.scope["headers"] if name == b"host"]
    if len(hosts) != 1:
        return "The request has more than one Host header" if hosts else "The request has no Host header"
    domain, _ = split_domain_port(hosts[0].decode("latin-1"))
    if domain and validate_host(domain, allowed):
        return None
    return "The Host header names a host that is not served here"
