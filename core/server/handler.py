"""The lean ASGI handler: Django's middleware and views, awaited on the event loop.

Django's own ASGIHandler makes a thread, and so a database connection, for every request, reads the body through a
temporary file, sends two signals through that thread and runs each request as two tasks. None of it is needed here:
views are asynchronous, the database has its own fixed pool of threads (core/database), and the body is small.
/admin/ and /static/ are Django's synchronous code: they run on asgiref's one shared thread, one at a time.
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

from core.http.problem_responses import as_problem, problem_of, problem_response
from core.http.problems import InternalError, MethodNotAllowed, NotFound, ServiceUnavailable
from core.http.request import Request
from core.http.responses import empty_response
from core.http.routing import Route, Router
from core.process.draining import draining
from core.process.lifespan import lifespan
from core.server.admission import admission
from core.server.request_body import BodyRefused, ClientDisconnected, Receive, Send, discard_body, has_left, read_body
from core.server.sending import send_response

# A request that is answered sooner than this never pays for a watch on its client.
WATCH_AFTER_SECONDS = 0.1
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
DJANGO_PREFIXES = ("/admin/", "/static/")
# An operator has to see what goes on most of all when it is too much.
NEVER_REFUSED = ("/health/", "/metrics")
STOPPING = "The service is stopping"

logger = logging.getLogger("agent_router.handler")


class Handler(ASGIHandler):
    """The ASGI application. `router` knows the paths that are served on the loop."""

    def __init__(self, router: Router) -> None:
        self.router = router
        super().__init__()

    def load_middleware(self, is_async: bool = True) -> None:
        """Chains settings.MIDDLEWARE, all of it asynchronous, around the view.

        Django would put a wrapper around each that turns exceptions into responses; `_respond` does so for all.
        """
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
            await self.serve(scope, receive, send)
        elif scope["type"] == "lifespan":
            await lifespan.run(receive, send)
        else:
            raise ValueError(f"{scope['type']} connections are not served")

    async def serve(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answers one HTTP request."""
        task = cast("asyncio.Task[None]", asyncio.current_task())
        draining.requests.add(task)
        try:
            request = await self._read_request(scope, receive)
            if request is not None:
                await self._answer(request, receive, send, task)
        finally:
            draining.requests.discard(task)

    async def _answer(self, request: Request, receive: Receive, send: Send, task: "asyncio.Task[None]") -> None:
        watch, response = None, None
        is_django = request.path.startswith(DJANGO_PREFIXES)
        admission.in_flight += 1
        try:
            if not request.path.startswith(NEVER_REFUSED) and not await _wait_for_turn(request, receive):
                return
            watch = asyncio.get_running_loop().call_later(WATCH_AFTER_SECONDS, _watch_client, receive, task, request)
            if is_django:
                # By this signal and by response.close() Django looks after the connection of its thread.
                await request_started.asend(sender=type(self), scope=request.scope)
            response = await self._respond(request)
            await send_response(request, response, send)
        except asyncio.CancelledError:
            if draining.is_overdue and not request.is_answered:
                await send_response(request, problem_response(request, ServiceUnavailable(STOPPING)), send)
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

    async def _read_request(self, scope: dict[str, Any], receive: Receive) -> Request | None:
        """The request with its body and its route; None if the client leaves before it is there."""
        headers, body, refusal = dict(scope["headers"]), b"", None
        if b"content-length" in headers or b"transfer-encoding" in headers:
            try:
                body = await read_body(headers, receive)
            except ClientDisconnected:
                return None
            except BodyRefused as found:
                refusal = found
            except asyncio.CancelledError:
                if not draining.is_overdue:
                    raise
                refusal = BodyRefused(ServiceUnavailable(STOPPING), is_unread=False)
        request = Request(scope, headers, body)
        if refusal is not None:
            request.problem, request.is_body_unread = refusal.problem, refusal.is_unread
        if found_route := self.router.resolve(request.path):
            request.route, request.route_params = found_route
        return request

    async def _respond(self, request: Request) -> HttpResponseBase:
        """What the middleware and the view answer, whatever happens in them."""
        try:
            return as_problem(request, await self._middleware_chain(request))
        except Exception as error:
            return _respond_to(request, error)

    async def _get_response_async(self, request: Request) -> HttpResponseBase:
        """What the innermost middleware awaits: the view's answer, or the problem that it raised."""
        try:
            if request.problem is not None:
                raise request.problem
            if request.route is not None:
                view = request.route.views.get(request.method or "")
                if view is None:
                    return _without_view(request, request.route)
                return await view(request, **request.route_params)
            if request.path.startswith(DJANGO_PREFIXES):
                response = await super()._get_response_async(request)  # type: ignore[misc]
                return as_problem(request, response)
            raise NotFound
        except Exception as error:
            return _respond_to(request, error)


def _without_view(request: Request, route: Route) -> HttpResponse:
    if request.method == "OPTIONS":
        return empty_response(headers={"Allow": route.allow})
    raise MethodNotAllowed(f"{request.method} is not allowed here", headers={"Allow": route.allow})


def _respond_to(request: Request, error: Exception) -> HttpResponse:
    """The problem for an exception; one that nobody expected is logged with its stack."""
    problem = problem_of(error)
    if problem is None:
        logger.error("Unexpected error", exc_info=error, extra={"request_id": request.request_id})
        problem = InternalError()
    return problem_response(request, problem)


async def _wait_for_turn(request: Request, receive: Receive) -> bool:
    """Waits until the request may be begun, or marks it to be refused; False if its client left meanwhile."""
    request.is_shed = admission.is_full()
    if (place := admission.place(is_refused=request.is_shed)) is not None:
        await place
        return request.is_body_unread or not has_left(receive)
    return True


def _watch_client(receive: Receive, task: asyncio.Task[None], request: Request) -> None:
    """Starts to wait for the client's leaving. A read is then given up; a change that has begun is finished."""

    async def wait_for_disconnect() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        request.client_left = True
        if request.method in SAFE_METHODS or request.is_answered:
            task.cancel()

    request.watcher = asyncio.ensure_future(wait_for_disconnect())
