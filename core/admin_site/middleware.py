"""Sessions, CSRF protection, log-in and messages: Django's own, for /admin/ alone.

Django's four middleware hop to a thread and back twice each, for every request of the service. Here one
middleware is all four: it passes other paths on within a tenth of a microsecond, and serves the admin's with two
hops in all. As a subclass of all four it satisfies the admin's system checks.
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


class AdminMiddleware(  # type: ignore[misc]  # their process_response differ in what they may take
    SessionMiddleware, CsrfViewMiddleware, AuthenticationMiddleware, MessageMiddleware
):
    """Must be the last of MIDDLEWARE, so that whatever refuses a request does it first."""

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
        """Django calls it for each view that it resolves itself: those outside of the admin need no token."""
        if not request.path.startswith(ADMIN_PREFIX):
            return None
        return await sync_to_async(super().process_view)(request, *view)

    def _after(self, request: HttpRequest, response: Any) -> HttpResponseBase:
        if _has_session_ended(request, response):
            lost = "" if request.method in ("GET", "HEAD") else " What you sent has not been saved."
            messages.warning(request, f"Your session has ended: log in again.{lost}")
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
    """Whether somebody is led to the log-in who came with a session."""
    is_led = response.status_code == HTTPStatus.FOUND and response["Location"].startswith(reverse("admin:login"))
    return is_led and settings.SESSION_COOKIE_NAME in request.COOKIES


def csrf_failure(request: Request, reason: str = "") -> HttpResponse:
    """The answer to a form without a valid token (settings.CSRF_FAILURE_VIEW); Django logs the reason."""
    return problem_response(
        request,
        Forbidden("The form is too old, or came from another site. Load the page anew and send it again."),
    )
