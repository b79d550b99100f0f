"""A handler with the test's own routes, served by uvicorn in a thread."""

import asyncio
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Self

import uvicorn

from core.http.routing import Router
from core.process.lifespan import Lifespan
from core.server.connection import BoundedProtocol
from core.server.handler import Handler
from tests.waiting import await_true

SECONDS = 20.0


class ServedHandler:
    """Serves on `port` inside its context. `views` maps method and path to a view: {"GET /slow": slow}."""

    def __init__(self, views: dict[str, Callable[..., Any]]) -> None:
        router = Router()
        for name, view in views.items():
            method, path = name.split()
            router.route(path).add(method, view)
        config = uvicorn.Config(
            Handler(router, Lifespan([])), lifespan="off", log_config=None, server_header=False, proxy_headers=False,
            timeout_graceful_shutdown=5, http=BoundedProtocol,
        )  # fmt: skip
        self.server = uvicorn.Server(config)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._loop: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(target=self._run, name="served-handler", daemon=True)

    def _run(self) -> None:
        asyncio.run(self._serve(), loop_factory=self.server.config.get_loop_factory())

    async def _serve(self) -> None:
        self._loop.set_result(asyncio.get_running_loop())
        await self.server.serve([self._listener])

    def __enter__(self) -> Self:
        self._thread.start()
        self._loop.result(SECONDS)
        await_true(lambda: self.server.started)
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()
        self._listener.close()

    def tasks(self) -> int:
        """Return the number of tasks on the loop, without the server's own."""

        async def count() -> int:
            return len(asyncio.all_tasks()) - 2

        return asyncio.run_coroutine_threadsafe(count(), self._loop.result()).result(SECONDS)

    def connect(self) -> "Client":
        return Client(self.port)


class Client:
    """A connection that sends and receives raw bytes."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def request(self, method: str, path: str, *, body: bytes | None = None, headers: str = "") -> None:
        """Send a complete request."""
        length = "" if body is None else f"Content-Length: {len(body)}\r\n"
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{length}{headers}\r\n"
        self.send(head.encode() + (body or b""))

    def _more(self) -> bool:
        received = self.socket.recv(65536)
        self._unread += received
        return bool(received)

    def read_until(self, end: bytes) -> bytes:
        """Read up to and including `end`."""
        while end not in self._unread:
            assert self._more(), f"closed after {self._unread[-200:]!r}"
        found, _, self._unread = self._unread.partition(end)
        return found + end

    def head(self) -> tuple[int, dict[str, str]]:
        """Read the status and headers of the next response."""
        lines = self.read_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        fields = (line.lower().partition(": ") for line in lines[1:-2])
        return int(lines[0].split()[1]), {name: value for name, _, value in fields}

    def response(self, *, has_body: bool = True) -> tuple[int, dict[str, str], bytes]:
        """Read the next complete response."""
        status, headers = self.head()
        if "transfer-encoding" in headers:
            return status, headers, b"".join(iter(self.chunk, b""))
        length = int(headers.get("content-length", 0)) if has_body else 0
        while len(self._unread) < length:
            assert self._more(), "the response is cut off"
        body, self._unread = self._unread[:length], self._unread[length:]
        return status, headers, body

    def chunk(self) -> bytes:
        """Read the next chunk of a chunked body. The last chunk is empty."""
        size = int(self.read_until(b"\r\n"), 16)
        while len(self._unread) < size + 2:
            assert self._more(), "the chunk is cut off"
        chunk, self._unread = self._unread[:size], self._unread[size + 2 :]
        return chunk

    def rest(self) -> bytes:
        """Read until the server closes the connection, which must not be a reset."""
        while self._more():
            pass
        rest, self._unread = self._unread, b""
        return rest
