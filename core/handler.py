"""The lean ASGI handler: Django's middleware and views, awaited on the event loop.

Django's own ASGIHandler makes a thread, and so a database connection, for every request, reads the body through a
temporary file, sends two signals through that thread and runs each request as two tasks. None of it is needed here:
views are asynchronous, the database has its own fixed pool of threads (core/database), and the body is small.
/admin/ and /static/ are Django's synchronous code: they run on asgiref's one shared thread, one at a time.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import request_started
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase

from core.errors import (
    CONTENT_TYPE as PROBLEM_TYPE,
)
from core.errors import (
    ContentTooLarge,
    Forbidden,
    InternalError,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    Problem,
    RequestTimeout,
    problem_response,
)
from core.lifespan import draining, lifespan
from core.request import Request
from core.routing import Router

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

# A request that is answered sooner than this never pays for a watch on its client.
WATCH_AFTER_SECONDS = 0.1
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
DJANGO_PREFIXES = ("/admin/", "/static/")
# What Django's own error pages become: every error of the service is a problem.
PROBLEMS_OF_DJANGO: dict[int, type[Problem]] = {
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    413: ContentTooLarge,
    500: InternalError,
}

logger = logging.getLogger("agent_router.handler")


class ClientDisconnected(Exception):
    """The client left before its request was read."""


class Handler(ASGIHandler):
    """The ASGI application. `router` knows the paths that are served on the loop."""

    def __init__(self, router: Router) -> None:
        self.router = router
        super().__init__()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.serve(scope, receive, send)
        elif scope["type"] == "lifespan":
            await lifespan.run(receive, send)
        else:
            raise ValueError(f"{scope['type']} connections are not served")

    async def serve(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answers one HTTP request."""
        body, problem = b"", None
        headers = dict(scope["headers"])
        if b"content-length" in headers or b"transfer-encoding" in headers:
            try:
                body = await read_body(headers, receive)
            except ClientDisconnected:
                return
            except Problem as found:
                problem = found
        request = Request(scope, headers, body)
        request.problem = problem
        if found_route := self.router.resolve(request.path):
            request.route, request.route_params = found_route
        watch = asyncio.get_running_loop().call_later(
            WATCH_AFTER_SECONDS, self._watch_client, receive, asyncio.current_task(), request
        )
        try:
            if request.path.startswith(DJANGO_PREFIXES):
                await self._serve_with_django(request, send)
            else:
                await send_response(request, await self._middleware_chain(request), send)
        except asyncio.CancelledError:
            if not request.client_left:
                raise
        finally:
            watch.cancel()
            if request.watcher is not None:
                request.watcher.cancel()

    async def _serve_with_django(self, request: Request, send: Send) -> None:
        """The admin and static files: with the signals by which Django looks after its thread's connection."""
        await request_started.asend(sender=type(self), scope=request.scope)
        response = await self._middleware_chain(request)
        try:
            if response.status_code >= 400 and response.get("Content-Type") != PROBLEM_TYPE:
                kind = PROBLEMS_OF_DJANGO.get(response.status_code, MalformedRequest)
                await send_response(request, problem_response(request, kind()), send)
            else:
                await send_response(request, response, send)
        finally:
            await sync_to_async(response.close)()

    async def _get_response_async(self, request: Request) -> HttpResponseBase:  # type: ignore[override]
        """What the innermost middleware awaits: the view, whatever it raises turned into a problem."""
        try:
            if request.problem is not None:
                raise request.problem
            if request.route is None:
                if not request.path.startswith(DJANGO_PREFIXES):
                    raise NotFound
                response: HttpResponseBase = await super()._get_response_async(request)
                return response
            view = request.route.views.get(request.method or "")
            if view is not None:
                return await view(request, **request.route_params)
            if request.method == "OPTIONS":
                return HttpResponse(status=204, headers={"Allow": request.route.allow})
            raise MethodNotAllowed(
                f"{request.method} is not allowed here", headers={"Allow": request.route.allow}
            )
        except Problem as problem:
            return problem_response(request, problem)
        except Http404:
            return problem_response(request, NotFound())
        except Exception:
            logger.exception("Unexpected error", extra={"request_id": request.request_id})
            return problem_response(request, InternalError())

    def _watch_client(self, receive: Receive, task: asyncio.Task[None], request: Request) -> None:
        """Starts to wait for the client's leaving. A read is then given up; a change that has begun is finished."""

        async def wait_for_disconnect() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            request.client_left = True
            if request.method in SAFE_METHODS:
                task.cancel()

        request.watcher = asyncio.ensure_future(wait_for_disconnect())


async def read_body(headers: dict[bytes, bytes], receive: Receive) -> bytes:
    """The request's body, at most MAX_BODY_BYTES of it.

    Raises ContentTooLarge as soon as more is declared or has come, RequestTimeout after BODY_TIMEOUT_SECONDS,
    ClientDisconnected. What is left unread then, the server throws away as it comes.
    """
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > settings.MAX_BODY_BYTES:
        raise ContentTooLarge(f"The body is larger than {settings.MAX_BODY_BYTES} bytes")
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(settings.BODY_TIMEOUT_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnected
                size += len(chunk := message.get("body", b""))
                if size > settings.MAX_BODY_BYTES:
                    raise ContentTooLarge(f"The body is larger than {settings.MAX_BODY_BYTES} bytes")
                chunks.append(chunk)
                if not message.get("more_body", False):
                    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
    except TimeoutError:
        raise RequestTimeout(headers={"Connection": "close"}) from None


async def send_response(request: Request, response: HttpResponseBase, send: Send) -> None:
    """Sends the response, with the headers that the middleware left on the request."""
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
    headers += [(b"set-cookie", cookie.OutputString().encode("ascii")) for cookie in response.cookies.values()]
    headers += request.response_headers
    if draining.is_draining:
        headers.append((b"connection", b"close"))
    if response.streaming:
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        async for chunk in aiter(response):  # type: ignore[attr-defined]
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        return
    content: bytes = response.content
    if response.status_code not in (204, 304) and "Content-Length" not in response.headers:
        headers.append((b"content-length", b"%d" % len(content)))
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": content})
