"""Security headers on every response, errors included (OWASP REST Security and HTTP Headers cheat sheets)."""

from django.conf import settings
from django.http.response import HttpResponseBase
from django.utils.decorators import async_only_middleware

from core.http.paths import ADMIN_PREFIX, API_PREFIX
from core.http.request import GetResponse, Request
from core.http.security_headers import COMMON, NO_REFERRER, POLICY, SAME_ORIGIN_REFERRER, TRANSPORT_SECURITY, Headers


@async_only_middleware
def security_headers(get_response: GetResponse) -> GetResponse:
    """Send Strict-Transport-Security over HTTPS, and always in production, where a proxy terminates TLS."""
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
            request.response_headers.append(SAME_ORIGIN_REFERRER)
        return response

    return middleware
