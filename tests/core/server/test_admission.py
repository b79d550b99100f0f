"""Admission and overload: requests begin in order, and requests beyond the limit are refused."""

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from threading import Event, Semaphore

import pytest
from django.http import HttpResponse
from pytest_django import Settings

from core.http.request import Request
from core.server.admission import TURN_SIZE, Admission, admission
from core.server.request_body import has_disconnected
from tests.core.server.served_handler import ServedHandler
from tests.running_service import RunningService
from tests.waiting import await_true


class Views:
    """A view that waits for the test, and a view that responds immediately."""

    def __init__(self) -> None:
        self.began, self.go_on = Semaphore(0), Event()
        self.seen: list[str] = []

    async def wait(self, request: Request) -> HttpResponse:
        self.began.release()
        while not self.go_on.is_set():  # noqa: ASYNC110  set by another thread
            await asyncio.sleep(0.005)
        return HttpResponse(b"done")

    async def note(self, request: Request) -> HttpResponse:
        self.seen.append(request.scope["query_string"].decode())
        return HttpResponse(b"done")


@pytest.fixture
def views() -> Iterator[Views]:
    one = Views()
    yield one
    one.go_on.set()


@pytest.fixture
def served(views: Views) -> Iterator[ServedHandler]:
    with ServedHandler({"GET /wait": views.wait, "GET /note": views.note, "GET /health/live": views.note}) as running:
        yield running


def test_request_beyond_the_limit_gets_503(served: ServedHandler, views: Views, settings: Settings) -> None:
    settings.MAX_REQUESTS_IN_FLIGHT = 2
    with served.connect() as first, served.connect() as second, served.connect() as third:
        for client in (first, second):
            client.request("GET", "/wait")
            assert views.began.acquire(timeout=20)
        third.request("GET", "/note")
        status, headers, body = third.response()
        assert (status, headers["retry-after"]) == (503, "1")
        assert headers["content-type"] == "application/problem+json"
        assert "x-request-id" in headers
        assert json.loads(body)["type"] == "/problems/service-unavailable"
        assert views.seen == []
        # Health probes are never refused.
        third.request("GET", "/health/live")
        assert third.response()[0] == 200
        views.go_on.set()
        assert [first.response()[0], second.response()[0]] == [200, 200]
        await_true(lambda: admission.in_flight == 0)
        third.request("GET", "/note")
        assert third.response()[0] == 200


def test_disconnect_is_detected_without_waiting() -> None:
    async def gone() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def there() -> dict[str, str]:
        await asyncio.Event().wait()
        raise AssertionError

    async def ask() -> tuple[bool, bool]:
        return has_disconnected(gone), has_disconnected(there)

    assert asyncio.run(ask()) == (True, False)


def test_queue_is_served_in_order_and_a_few_requests_each_turn() -> None:
    async def main() -> None:
        lines, begun = Admission(), list[int]()

        async def ask(number: int) -> None:
            if (slot := lines.slot(is_refused=False)) is not None:
                await slot
            begun.append(number)

        tasks = [asyncio.create_task(ask(number)) for number in range(10 * TURN_SIZE)]
        tasks[TURN_SIZE + 1].cancel()
        turns = 0
        while len(begun) < len(tasks) - 1:
            before, turns = len(begun), turns + 1
            await asyncio.sleep(0)
            assert len(begun) - before <= 2 * TURN_SIZE
        assert begun == [number for number in range(len(tasks)) if number != TURN_SIZE + 1]
        assert turns >= 9

    asyncio.run(main())


def test_requests_below_the_turn_size_do_not_wait() -> None:
    async def main() -> None:
        lines = Admission()
        for _ in range(5):
            assert [lines.slot(is_refused=False) for _ in range(TURN_SIZE)] == [None] * TURN_SIZE
            await asyncio.sleep(0)

    asyncio.run(main())


def test_many_refusals_do_not_delay_other_requests() -> None:
    async def main() -> None:
        lines = Admission()
        refused = [slot for _ in range(2000) if (slot := lines.slot(is_refused=True)) is not None]
        assert refused
        assert lines.slot(is_refused=False) is None
        await asyncio.gather(*refused)

    asyncio.run(main())


def test_burst_is_answered_or_refused_completely(start: Callable[..., RunningService]) -> None:
    """In a burst over HTTP, some requests are refused and none is lost. The service then works as before."""
    service = start(MAX_REQUESTS_IN_FLIGHT="4")
    me = service.user()
    head = "GET /v1/items/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    request = f"{head}Authorization: {me.headers['Authorization']}\r\n\r\n".encode()
    answers = b"".join(burst(service.port, request, 100))
    good, refused = answers.count(b"HTTP/1.1 200 "), answers.count(b"HTTP/1.1 503 ")
    assert good + refused == 100
    assert good >= 4
    assert refused >= 1
    assert answers.count(b"\r\nretry-after: 1\r\n") == answers.count(b"/problems/service-unavailable") == refused
    assert me.get("/v1/items/").status_code == 200
    me.close()


def burst(port: int, request: bytes, count: int) -> list[bytes]:
    """Send one request over many connections at once. Return the responses."""
    connections = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(count)]
    for one in connections:
        one.sendall(request)
    answers = []
    for one in connections:
        with one:
            answers.append(b"".join(iter(lambda one=one: one.recv(65536), b"")))  # type: ignore[misc]
    return answers
