"""The client's address and scheme: `request.client_ip` and `request.is_https`.

X-Forwarded-For and X-Forwarded-Proto count only as far as TRUSTED_PROXIES permits. `Forwarded` is ignored, because
proxies that do not know it pass on the client's own.
"""

from functools import lru_cache

from django.conf import settings
from django.http.response import HttpResponseBase
from django.utils.decorators import async_only_middleware

from core.http.forwarded import TrustedProxies, normalize_address, scheme_for, walk_back
from core.http.request import GetResponse, Request

# A peer without an address uses a Unix socket, so it is on this machine.
SOCKET_ADDRESS = "127.0.0.1"


@async_only_middleware
def client_address(get_response: GetResponse) -> GetResponse:
    """Set the client's address and scheme. Must come before everything that logs, counts or limits by address."""
    proxies: TrustedProxies = settings.TRUSTED_PROXIES

    async def direct(request: Request) -> HttpResponseBase:
        request.client_ip = _peer_address(request.client_ip) or SOCKET_ADDRESS
        request.is_https = request.scope["scheme"] == "https"
        return await get_response(request)

    async def behind_proxies(request: Request) -> HttpResponseBase:
        peer = _peer_address(request.client_ip)
        address, distance = walk_back(proxies, peer, _lines(request, b"x-forwarded-for"))
        request.client_ip = address or SOCKET_ADDRESS
        scheme = request.scope["scheme"]
        if distance and b"x-forwarded-proto" in request.raw_headers:
            scheme = scheme_for(distance, _lines(request, b"x-forwarded-proto"))
        request.is_https = scheme == "https"
        return await get_response(request)

    return behind_proxies if proxies else direct


@lru_cache(maxsize=4096)
def _peer_address(address: str) -> str:
    return normalize_address(address) or ""


def _lines(request: Request, name: bytes) -> list[bytes]:
    return [value for one, value in request.scope["headers"] if one == name]
