"""A TCP proxy for tests. It forwards, delays, drops, disconnects or refuses. It runs in its own thread."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Self

from tests.ports import free_port


class TCPProxy:
    """`with TCPProxy(port_of_the_server) as proxy: … proxy.port`.

    `delay_seconds` delays each response. With `swallows`, the proxy drops all data in both directions.
    """

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = free_port()
        self.delay_seconds = 0.0
        self.swallows = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self.accept()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def accept(self) -> None:
        """Listen for connections, also again after `refuse`."""
        self._run(self._listen)

    def refuse(self) -> None:
        """Close the listening socket and every connection."""
        self._run(self._close)

    def cut(self) -> None:
        """Close every connection, but accept new ones."""
        self._run(self._cut)

    def _run(self, job: Callable[[], Coroutine[Any, Any, None]]) -> None:
        future: Future[None] = asyncio.run_coroutine_threadsafe(job(), self._loop)
        future.result(timeout=10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _close(self) -> None:
        if self._server:
            self._server.close()
            self._server = None
        await self._cut()

    async def _cut(self) -> None:
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._connections.add(task)
        upstream_writer = None
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, upstream_writer, is_response=False))
                group.create_task(self._pump(upstream_reader, writer, is_response=True))
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            for one in (writer, upstream_writer):
                if one:
                    one.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_response: bool) -> None:
        due = 0.0
        while data := await reader.read(65536):
            if self.swallows:
                continue
            now = self._loop.time()
            delay = self.delay_seconds if is_response else 0.0
            if delay or due > now:
                # Keep the order: later data must not overtake delayed data.
                due = max(now + delay, due + 1e-6)
                self._loop.call_at(due, self._write, writer, data)
            else:
                self._write(writer, data)
        raise ConnectionResetError("one side closed the connection")

    @staticmethod
    def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
        with suppress(OSError, RuntimeError):
            writer.write(data)
