"""Check the Host header on every path. Django checks it only if something calls `request.get_host()`."""

from functools import lru_cache, partial

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.http.response import HttpResponseBase
from django.utils.decorators import async_only_middleware

from core.http.problem_responses import problem_response
from core.http.problems import HostNotAllowed
from core.http.request import GetResponse, Request


@async_only_middleware
def allowed_hosts(get_response: GetResponse) -> GetResponse:
    """Return 400 unless Host is sent once and is allowed. X-Forwarded-Host is ignored."""
    # Nearly all requests name the same few hosts, and validating one takes longer than all other steps of a refusal.
    find_fault = lru_cache(maxsize=64)(partial(_fault, tuple(settings.ALLOWED_HOSTS)))

    async def middleware(request: Request) -> HttpResponseBase:
        if fault := find_fault(tuple(request.header_lines(b"host"))):
            return problem_response(request, HostNotAllowed(fault))
        return await get_response(request)

    return middleware


def _fault(allowed: tuple[str, ...], hosts: tuple[bytes, ...]) -> str | None:
    if len(hosts) != 1:
        return "The request has more than one Host header" if hosts else "The request has no Host header"
    domain, _ = split_domain_port(hosts[0].decode("latin-1"))
    if domain and validate_host(domain, allowed):
        return None
    return "The Host header names a host that is not served here"
