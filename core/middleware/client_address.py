"""The client's address and scheme. `Forwarded` is ignored: proxies that do not know it pass on the client's own."""

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
    """Set `request.client_ip` and `is_https`. Must come before everything that logs, counts or limits by address."""
    proxies: TrustedProxies = settings.TRUSTED_PROXIES

    async def middleware(request: Request) -> HttpResponseBase:
        address, scheme = _peer_address(request.client_ip), request.scope["scheme"]
        if proxies:
            address, distance = walk_back(proxies, address, request.header_lines(b"x-forwarded-for"))
            if distance and (forwarded_proto := request.header_lines(b"x-forwarded-proto")):
                scheme = scheme_for(distance, forwarded_proto)
        request.client_ip = address or SOCKET_ADDRESS
        request.is_https = scheme == "https"
        return await get_response(request)

    return middleware


# A peer sends many requests over one connection.
@lru_cache(maxsize=4096)
def _peer_address(address: str) -> str:
    return normalize_address(address) or ""
