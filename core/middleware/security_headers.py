"""Security headers on every response, errors included (OWASP REST Security and HTTP Headers cheat sheets)."""

from collections.abc import Awaitable, Callable

from django.conf import settings
from django.http.response import HttpResponseBase
from django.utils.decorators import async_only_middleware

from core.request import Request

type GetResponse = Callable[[Request], Awaitable[HttpResponseBase]]
type Headers = list[tuple[bytes, bytes]]

API_PREFIX, ADMIN_PREFIX = "/v1/", "/admin/"
# JSON needs nothing of a browser. What is to be shown brings a policy of its own (core/content_security.py).
POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
TRANSPORT_SECURITY = (b"strict-transport-security", b"max-age=63072000; includeSubDomains")
COMMON: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"x-xss-protection", b"0"),
    (
        b"permissions-policy",
        b"camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
NO_REFERRER = (b"referrer-policy", b"no-referrer")
# Over HTTPS Django's CSRF protection looks at the Referer of the admin's forms.
REFERRER_TO_ITSELF = (b"referrer-policy", b"same-origin")


@async_only_middleware
def security_headers(get_response: GetResponse) -> GetResponse:
    """Puts the headers on the request, so that they go out with whatever comes of it.

    Strict-Transport-Security: over HTTPS, and always in production, where a proxy in front ends TLS.
    """
    is_production = settings.IS_PRODUCTION
    plain: Headers = [POLICY, NO_REFERRER, *COMMON]
    secure: Headers = [*plain, TRANSPORT_SECURITY]

    async def middleware(request: Request) -> HttpResponseBase:
        request.response_headers += secure if is_production or request.is_https else plain
        if request.path.startswith(API_PREFIX):
            return await get_response(request)
        response = await get_response(request)
        if "Content-Security-Policy" in response.headers:
            request.response_headers.remove(POLICY)
        if request.path.startswith(ADMIN_PREFIX):
            request.response_headers.remove(NO_REFERRER)
            request.response_headers.append(REFERRER_TO_ITSELF)
        return response

    return middleware
