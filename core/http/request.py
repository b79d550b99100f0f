"""The request that views and middleware get."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any

from django.core.exceptions import BadRequest
from django.core.handlers.asgi import ASGIRequest
from django.http import QueryDict
from django.http.response import HttpResponseBase
from django.utils.functional import cached_property

from core.http.paths import DJANGO_PREFIXES
from core.http.principal import Principal
from core.http.problems import Problem
from core.http.routing import Route


class Request(ASGIRequest):
    """Django's request, but META and its dependents are built on first use: the service reads `raw_headers`."""

    route: Route | None = None
    route_params: dict[str, str]
    principal: Principal | None = None
    credentials_problem: Problem | None = None
    request_id: str = ""
    is_https: bool = False
    prefetched: bytes | None = None
    """See core/http/prefetch.py."""
    refusal: Problem | None = None
    """Why the server refuses the request (core/server/refusals.py)."""
    is_body_unread: bool = False
    """The server stopped reading the body, and the client may still be sending it."""
    is_answered: bool = False
    client_left: bool = False
    watcher: asyncio.Task[None] | None = None
    """Waits for the client to disconnect (core/server/handler.py)."""

    def __init__(self, scope: dict[str, Any], raw_headers: dict[bytes, bytes], body: bytes) -> None:
        self.scope = scope
        self.started = time.perf_counter()
        self.method = scope["method"]
        self.path = self.path_info = scope["path"]
        self.script_name = ""
        # The last line of a repeated header. scope["headers"] has all lines.
        self.raw_headers = raw_headers
        # Sent with every response, errors included.
        self.response_headers: list[tuple[bytes, bytes]] = []
        self.client_ip = scope["client"][0] if scope.get("client") else ""
        self.resolver_match = None
        self.route_params = {}
        self._body, self._stream = body, BytesIO(body)
        self._read_started = True
        self._post_parse_error = False

    @cached_property
    def META(self) -> dict[str, Any]:  # type: ignore[override]  # noqa: N802
        """Django's META. Raises BadRequest for a query string that is not UTF-8."""
        try:
            return ASGIRequest(self.scope, BytesIO()).META
        except UnicodeDecodeError:
            raise BadRequest from None

    def _get_scheme(self) -> str:
        # Django's CSRF protection and absolute URLs use the scheme that a trusted proxy reports.
        return "https" if self.is_https else "http"

    @cached_property
    def GET(self) -> QueryDict:  # type: ignore[override]  # noqa: N802
        return QueryDict(self.scope["query_string"])

    @cached_property
    def content_type(self) -> str | None:  # type: ignore[override]
        self._set_content_type_params(self.META)  # type: ignore[attr-defined]
        found: str | None = self.__dict__["content_type"]
        return found

    @cached_property
    def content_params(self) -> dict[str, str] | None:  # type: ignore[override]
        self._set_content_type_params(self.META)  # type: ignore[attr-defined]
        found: dict[str, str] | None = self.__dict__["content_params"]
        return found

    def list_header(self, name: bytes) -> bytes | None:
        """Return a list header with its lines joined (RFC 9110, section 5.3), or None."""
        return b",".join(self.header_lines(name)) if name in self.raw_headers else None

    def header_lines(self, name: bytes) -> list[bytes]:
        return [value for line_name, value in self.scope["headers"] if line_name == name]

    def header(self, name: bytes) -> str | None:
        value = self.raw_headers.get(name)
        return None if value is None else value.decode("latin-1")


# The rest of the middleware chain with the view at its end.
type GetResponse = Callable[[Request], Awaitable[HttpResponseBase]]


def view_name(request: Request) -> str:
    """Return the route's template, or one of a few names, so that clients cannot create new ones."""
    if request.route is not None:
        return request.route.template
    return next((prefix for prefix in DJANGO_PREFIXES if request.path.startswith(prefix)), "unmatched")
