"""After SHUTDOWN_TIMEOUT_SECONDS, requests that still run get 503 and the process ends."""

import asyncio
import json
import signal
import socket
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import httpx
import pytest
from django.http import HttpResponse

from core.database.sqlite.options import BUSY_TIMEOUT_SECONDS
from core.http.request import Request
from core.process.draining import draining
from tests.core.server.served_handler import ServedHandler
from tests.running_service import RunningService


def test_incomplete_body_does_not_delay_shutdown(start: Callable[..., RunningService]) -> None:
    service = start(SHUTDOWN_TIMEOUT_SECONDS="2")
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as client:
        client.sendall(b"POST /v1/items/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")
        assert service.process is not None
        service.process.send_signal(signal.SIGTERM)
        answer = client.makefile("rb").read()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert json.loads(body)["type"] == "/problems/service-unavailable"
    assert service.stop() in (0, -signal.SIGTERM, 128 + signal.SIGTERM)


def test_blocked_database_does_not_delay_shutdown(start: Callable[..., RunningService]) -> None:
    service = start(SHUTDOWN_TIMEOUT_SECONDS="1")
    me, process = service.user(), service.process
    assert process is not None
    with (
        closing(sqlite3.connect(service.environment["DB_DSN"].removeprefix("sqlite:///"), autocommit=True)) as holder,
        ThreadPoolExecutor() as clients,
    ):
        holder.execute("BEGIN IMMEDIATE")
        # The service reads the request during the drain.
        answer = clients.submit(me.post, "/v1/items/", json={"name": "late"})
        process.send_signal(signal.SIGTERM)
        assert process.wait(BUSY_TIMEOUT_SECONDS - 1) in (0, -signal.SIGTERM, 128 + signal.SIGTERM)
    assert answer.result().status_code == 503


def test_view_that_still_runs_at_shutdown_gets_503(monkeypatch: pytest.MonkeyPatch) -> None:
    began = asyncio.Event()
    monkeypatch.setattr(draining, "is_overdue", False)

    async def endless(request: Request) -> HttpResponse:
        began.set()
        asyncio.get_running_loop().call_soon(draining._end_requests)
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    with ServedHandler({"GET /endless": endless}) as served:
        response: Any = httpx.get(f"http://127.0.0.1:{served.port}/endless", trust_env=False, timeout=20)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert began.is_set()
