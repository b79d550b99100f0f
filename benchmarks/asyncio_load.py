"""A load generator for machines without wrk: `python -m benchmarks.asyncio_load`. Its output equals wrk.lua's.

It takes about 20 µs per request, which limits it to 30,000 to 50,000 requests per second and core.
"""

import argparse
import asyncio
import json
import time
from collections import Counter
from itertools import count
from pathlib import Path
from typing import cast

import uvloop

from benchmarks.scenarios import MARK, read_requests

MARK_BYTES = MARK.encode()
END_OF_HEADERS, LENGTH = b"\r\n\r\n", b"\r\ncontent-length: "


class Load:
    """The requests to send, and the responses received."""

    def __init__(self, requests: list[bytes], number: int, limit: int) -> None:
        self._requests = [(one, MARK_BYTES in one) for one in requests]
        self._order, self._numbers = count(), count(number)
        self._limit = limit
        self.is_over = asyncio.Event()
        self.latencies: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.errors = 0

    def next_request(self) -> bytes:
        """Return the next request, with a number that no other has if it contains MARK."""
        one, is_numbered = self._requests[next(self._order) % len(self._requests)]
        return one.replace(MARK_BYTES, b"%016d" % next(self._numbers)) if is_numbered else one

    def count_response(self, status: int, seconds: float) -> None:
        """Count a response."""
        self.statuses[status] += 1
        self.latencies.append(seconds)
        if len(self.latencies) == self._limit:
            self.is_over.set()


class Connection(asyncio.Protocol):
    """A connection that sends a request, waits for the response, and repeats."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._received = b""
        self._sent_at = 0.0
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio's.
        self._transport = cast("asyncio.WriteTransport", transport)
        self._send()

    def _send(self) -> None:
        assert self._transport is not None
        self._sent_at = time.perf_counter()
        self._transport.write(self._load.next_request())

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        end = received.find(END_OF_HEADERS)
        if end < 0 or len(received) < end + 4 + _content_length(received, end):
            self._received = received
            return
        self._received = b""
        self._load.count_response(int(received[9:12]), time.perf_counter() - self._sent_at)
        if not self._load.is_over.is_set():
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._load.is_over.is_set():
            self._load.errors += 1


def _content_length(received: bytes, end: int) -> int:
    start = received.find(LENGTH, 0, end)
    if start < 0:
        return 0
    start += len(LENGTH)
    return int(received[start : received.index(b"\r", start)])


async def _run(load: Load, port: int, connections: int, seconds: float) -> float:
    """Put load on the port for some seconds or until the load's limit. Return the duration in seconds."""
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    made = [loop.create_connection(lambda: Connection(load), "127.0.0.1", port) for _ in range(connections)]
    transports = await asyncio.gather(*made)
    try:
        async with asyncio.timeout(seconds):
            await load.is_over.wait()
    except TimeoutError:
        load.is_over.set()
    took = time.perf_counter() - started
    for transport, _ in transports:
        transport.close()
    return took


def result(load: Load, seconds: float) -> str:
    """Return the RESULT line."""
    ordered = sorted(load.latencies) or [0.0]
    summary = {
        "requests": len(load.latencies),
        "microseconds": int(seconds * 1e6),
        "p50_us": int(ordered[len(ordered) // 2] * 1e6),
        "p99_us": int(ordered[len(ordered) * 99 // 100] * 1e6),
        "errors": load.errors,
        "statuses": load.statuses,
    }
    return f"RESULT {json.dumps(summary)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=Path, required=True)
    parser.add_argument("--number", type=int, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--limit", type=int, default=-1, help="stop after this many responses")
    options = parser.parse_args()
    load = Load(read_requests(options.requests), options.number, options.limit)
    seconds = uvloop.run(_run(load, options.port, options.connections, options.seconds))
    print(result(load, seconds))


if __name__ == "__main__":
    main()
