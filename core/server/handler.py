"""The ASGI handler: awaits middleware and views on the event loop (docs/decisions/0001-lean-handler.md).

/admin/ and /static/ are Django's synchronous code and run on asgiref's one shared thread.
"""

import asyncio
import logging
from typing import Any, cast

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import request_started
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.module_loading import import_string

from core.http.paths import DJANGO_PREFIXES
from core.http.problem_responses import as_problem, problem_of, problem_response
from core.http.problems import InternalError, MethodNotAllowed, NotFound
from core.http.request import Request
from core.http.responses import empty_response
from core.http.routing import Route, Router
from core.process.draining import draining
from core.process.lifespan import Lifespan, Receive, Send
from core.server.admission import admission
from core.server.connection import check_connection
from core.server.refusals import NEVER_REFUSED, BodyRefused, refuse_if_overloaded, stopping
from core.server.request_body import ClientDisconnected, discard_body, has_disconnected, read_body
from core.server.sending import send_response

# Most requests are answered sooner, and then nothing watches their client.
WATCH_AFTER_SECONDS = 0.1
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

logger = logging.getLogger("agent_router.handler")


class Handler(ASGIHandler):
    """The ASGI application. Paths that `router` does not know and that are not Django's own get 404."""

    def __init__(self, router: Router, lifespan: Lifespan) -> None:
        self.router, self.lifespan = router, lifespan
        super().__init__()

    def load_middleware(self, is_async: bool = True) -> None:
        """Chain settings.MIDDLEWARE around the view. `_respond` turns exceptions into responses once for the chain."""
        chain: Any = self._get_response_async
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        for path in reversed(settings.MIDDLEWARE):
            try:
                chain = import_string(path)(chain)
            except MiddlewareNotUsed:
                continue
            if hasattr(chain, "process_view"):
                self._view_middleware.insert(0, chain.process_view)
        self._middleware_chain = chain

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            check_connection(scope)
            await self._serve(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self.lifespan.run(receive, send)
        else:
            raise ValueError(f"{scope['type']} connections are not served")

    async def _serve(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        draining.requests.add(task)
        try:
            request = await self._read_request(scope, receive)
            if request is not None:
                await self._answer(request, receive, send, task)
        finally:
            draining.requests.discard(task)

    async def _read_request(self, scope: dict[str, Any], receive: Receive) -> Request | None:
        """Return the request with its body and route, or None if the client disconnects first."""
        headers, body, refused = dict(scope["headers"]), b"", None
        if b"content-length" in headers or b"transfer-encoding" in headers:
            try:
                body = await read_body(headers, receive)
            except ClientDisconnected:
                return None
            except BodyRefused as error:
                refused = error
            except asyncio.CancelledError:
                if not draining.is_overdue:
                    raise
                refused = BodyRefused(stopping(), is_unread=False)
        request = Request(scope, headers, body)
        if refused is not None:
            request.refusal, request.is_body_unread = refused.problem, refused.is_unread
        if found := self.router.resolve(request.path):
            request.route, request.route_params = found
        return request

    async def _answer(self, request: Request, receive: Receive, send: Send, task: "asyncio.Task[None]") -> None:
        watch, response = None, None
        is_django = request.path.startswith(DJANGO_PREFIXES)
        admission.in_flight += 1
        try:
            if not request.path.startswith(NEVER_REFUSED) and not await _wait_for_turn(request, receive):
                return
            watch = asyncio.get_running_loop().call_later(WATCH_AFTER_SECONDS, _watch_client, receive, task, request)
            if is_django:
                # Django checks its thread's database connection on this signal and in response.close().
                await request_started.asend(sender=type(self), scope=request.scope)
            response = await self._respond(request)
            await send_response(request, response, send)
        except asyncio.CancelledError:
            if draining.is_overdue and not request.is_answered:
                await send_response(request, problem_response(request, stopping()), send)
            elif not request.client_left:
                raise
        finally:
            admission.in_flight -= 1
            if watch is not None:
                watch.cancel()
            if request.watcher is not None:
                request.watcher.cancel()
            if is_django and response is not None:
                await sync_to_async(response.close)()
        if request.is_body_unread:
            await discard_body(receive)
            await send({"type": "http.response.body", "body": b""})

    async def _respond(self, request: Request) -> HttpResponseBase:
        try:
            return as_problem(request, await self._middleware_chain(request))
        except Exception as error:
            return _respond_to(request, error)

    async def _get_response_async(self, request: Request) -> HttpResponseBase:
        """Call the view. The innermost middleware awaits this method, which never raises an Exception."""
        try:
            if request.refusal is not None:
                raise request.refusal
            if request.route is not None:
                view = request.route.views.get(request.method or "")
                if view is None:
                    return _respond_without_view(request, request.route)
                return await view(request, **request.route_params)
            if request.path.startswith(DJANGO_PREFIXES):
                response = await super()._get_response_async(request)  # type: ignore[misc]
                return as_problem(request, response)
            raise NotFound
        except Exception as error:
            return _respond_to(request, error)


def _respond_without_view(request: Request, route: Route) -> HttpResponse:
    if request.method == "OPTIONS":
        return empty_response(headers={"Allow": route.allow})
    raise MethodNotAllowed(f"{request.method} is not allowed here", headers={"Allow": route.allow})


def _respond_to(request: Request, error: Exception) -> HttpResponse:
    problem = problem_of(error)
    if problem is None:
        logger.error("Unexpected error", exc_info=error, extra={"request_id": request.request_id})
        problem = InternalError()
    return problem_response(request, problem)


async def _wait_for_turn(request: Request, receive: Receive) -> bool:
    """Wait until the request, or its refusal, may begin. Return False if the client disconnects meanwhile."""
    slot = admission.slot(is_refused=refuse_if_overloaded(request))
    if slot is None:
        return True
    await slot
    return request.is_body_unread or not has_disconnected(receive)


def _watch_client(receive: Receive, task: asyncio.Task[None], request: Request) -> None:
    request.watcher = asyncio.ensure_future(_cancel_on_disconnect(receive, task, request))


async def _cancel_on_disconnect(receive: Receive, task: asyncio.Task[None], request: Request) -> None:
    """Wait until the client disconnects, then cancel a read. A change that has begun is finished."""
    while (await receive())["type"] != "http.disconnect":
        pass
    request.client_left = True
    if request.method in SAFE_METHODS or request.is_answered:
        task.cancel()
