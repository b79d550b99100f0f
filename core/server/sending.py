"""Sending responses as ASGI messages."""

from typing import Any

from django.http.response import HttpResponseBase

from core.http.request import Request
from core.process.draining import draining
from core.process.lifespan import Send

WITHOUT_BODY = (204, 304)


async def send_response(request: Request, response: HttpResponseBase, send: Send) -> None:
    request.is_answered = True
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
    headers += [(b"set-cookie", cookie.OutputString().encode("ascii")) for cookie in response.cookies.values()]
    headers += request.response_headers
    if draining.is_draining or request.is_body_unread:
        headers.append((b"connection", b"close"))
    start = {"type": "http.response.start", "status": response.status_code, "headers": headers}
    if response.streaming:
        await _send_stream(request, response, start, send)
        return
    content: bytes = b"" if response.status_code in WITHOUT_BODY else response.content  # type: ignore[attr-defined]
    if response.status_code not in WITHOUT_BODY and "Content-Length" not in response.headers:
        headers.append((b"content-length", b"%d" % len(content)))
    await send(start)
    # The last message closes the connection, which must wait while the client is still sending its body.
    await send({"type": "http.response.body", "body": content, "more_body": request.is_body_unread})


async def _send_stream(request: Request, response: Any, start: dict[str, Any], send: Send) -> None:
    try:
        await send(start)
        if request.method != "HEAD" and not request.client_left:
            async for chunk in response:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": request.is_body_unread})
    finally:
        # The garbage collector might release the generator's resources much later.
        if hasattr(response._iterator, "aclose"):
            await response._iterator.aclose()
        response.close()
