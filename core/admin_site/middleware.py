"""Sessions, CSRF protection, log-in and messages of the admin.

Each of Django's four middleware would hop to a thread twice for every request of the service. This middleware
combines them, and does so only for /admin/. It subclasses all four to satisfy the admin's system checks.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, cast

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django.urls import reverse

from core.http.paths import ADMIN_PREFIX
from core.http.problem_responses import problem_response
from core.http.problems import Forbidden
from core.http.request import Request
from core.http.security_headers import ADMIN_POLICY


class AdminMiddleware(  # type: ignore[misc]  # their process_response methods have different signatures
    SessionMiddleware, CsrfViewMiddleware, AuthenticationMiddleware, MessageMiddleware
):
    """Must be the last entry of MIDDLEWARE, so that the others can refuse a request before it loads a session."""

    sync_capable = False
    get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]]

    def __call__(self, request: HttpRequest) -> Awaitable[HttpResponseBase]:
        return self._serve(request) if request.path.startswith(ADMIN_PREFIX) else self.get_response(request)

    async def _serve(self, request: HttpRequest) -> HttpResponseBase:
        await sync_to_async(self._before)(request)
        response = await self.get_response(request)
        return await sync_to_async(self._after)(request, response)

    def _before(self, request: HttpRequest) -> None:
        SessionMiddleware.process_request(self, request)
        CsrfViewMiddleware.process_request(self, request)
        AuthenticationMiddleware.process_request(self, request)
        MessageMiddleware.process_request(self, request)

    async def process_view(  # type: ignore[override]  # Django awaits it, as it does every coroutine function
        self, request: HttpRequest, *view: Any
    ) -> HttpResponseBase | None:
        """Check the CSRF token. Django calls this for its own views outside /admin/ too, which need no token."""
        if not request.path.startswith(ADMIN_PREFIX):
            return None
        return await sync_to_async(super().process_view)(request, *view)

    def _after(self, request: HttpRequest, response: Any) -> HttpResponseBase:
        if _has_session_ended(request, response):
            lost = "" if request.method in ("GET", "HEAD") else " Your changes were not saved."
            messages.warning(request, f"Your session has ended. Log in again.{lost}")
        response = MessageMiddleware.process_response(self, request, response)
        response = CsrfViewMiddleware.process_response(self, request, response)
        try:
            response = SessionMiddleware.process_response(self, request, response)
        except SessionInterrupted:
            # The user logged out in another tab while this request ran.
            response = HttpResponseRedirect(reverse("admin:login"))
        response.headers.setdefault("Content-Security-Policy", ADMIN_POLICY)
        return cast("HttpResponseBase", response)


def _has_session_ended(request: HttpRequest, response: HttpResponseBase) -> bool:
    is_redirect = response.status_code == HTTPStatus.FOUND
    is_to_log_in = is_redirect and response["Location"].startswith(reverse("admin:login"))
    return is_to_log_in and settings.SESSION_COOKIE_NAME in request.COOKIES


def csrf_failure(request: Request, reason: str = "") -> HttpResponse:
    """Refuse a form without a valid CSRF token (settings.CSRF_FAILURE_VIEW). Django logs the reason."""
    detail = "The form is too old, or came from another site. Reload the page and send the form again."
    return problem_response(request, Forbidden(detail))
