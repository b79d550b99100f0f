"""The lifespan opens and closes components, also when one of them fails."""

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from core.process.draining import Draining, draining
from core.process.lifespan import Lifespan
from tests.ports import free_port
from tests.running_service import PROJECT, RunningService


@pytest.fixture(autouse=True)
def no_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep pytest's signal handlers."""
    monkeypatch.setattr(draining, "install", lambda: None)


class Noted:
    """A component that records its calls."""

    def __init__(self, name: str, notes: list[str], fails: str = "") -> None:
        self.name, self.notes, self.fails = name, notes, fails

    async def open(self) -> None:
        self.notes.append(f"open {self.name}")
        if self.fails == "open":
            raise RuntimeError(f"{self.name} cannot be opened")

    async def close(self) -> None:
        self.notes.append(f"close {self.name}")
        if self.fails == "close":
            raise RuntimeError(f"{self.name} cannot be closed")


def run(components: list[Noted]) -> list[dict[str, Any]]:
    """Run startup and shutdown. Return the messages to the server."""
    sent: list[dict[str, Any]] = []
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> dict[str, Any]:
        message = next(messages)
        components[0].notes.append(message["type"])
        return message

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(Lifespan(components).run(receive, send))
    return sent


def test_components_open_in_order_and_close_in_reverse() -> None:
    notes: list[str] = []
    sent = run([Noted(name, notes) for name in "abc"])
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert notes == [
        "lifespan.startup", "open a", "open b", "open c", "lifespan.shutdown", "close c", "close b", "close a",
    ]  # fmt: skip


def test_startup_fails_if_a_component_does_not_open(caplog: pytest.LogCaptureFixture) -> None:
    notes: list[str] = []
    sent = run([Noted("a", notes), Noted("b", notes, fails="open"), Noted("c", notes)])
    assert sent == [{"type": "lifespan.startup.failed", "message": "b cannot be opened"}]
    assert notes == ["lifespan.startup", "open a", "open b", "close a"]
    assert "The service could not start" in caplog.text


def test_component_that_fails_to_close_does_not_keep_others_open(caplog: pytest.LogCaptureFixture) -> None:
    notes: list[str] = []
    sent = run([Noted("a", notes), Noted("b", notes, fails="close"), Noted("c", notes)])
    assert notes[-3:] == ["close c", "close b", "close a"]
    assert sent[-1] == {"type": "lifespan.shutdown.complete"}
    assert "Noted could not be closed" in caplog.text


@pytest.fixture
def signals() -> Iterator[list[int]]:
    """Record the signals that reach the server's handlers. Restore pytest's handlers afterwards."""
    seen: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, lambda number, _: seen.append(number))
    yield seen
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_server_handles_a_signal_after_the_drain(
    signals: list[int], monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setattr("core.process.draining.DRAIN_SECONDS", 0.1)
    draining = Draining()

    async def drain() -> None:
        draining.install()
        signal.raise_signal(number)
        assert draining.is_draining
        assert signals == []
        loop = asyncio.get_running_loop()
        began = loop.time()
        while not signals:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        assert loop.time() - began >= 0.09

    asyncio.run(drain())
    assert signals == [number]


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_sigint_during_the_drain_goes_to_the_server_immediately(signals: list[int], first: signal.Signals) -> None:
    async def drain() -> None:
        Draining().install()
        signal.raise_signal(first)
        assert signals == []
        signal.raise_signal(signal.SIGINT)
        assert signals == [signal.SIGINT]

    asyncio.run(drain())


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_sigterm_forwarded_by_the_parent_does_not_shorten_the_drain(
    signals: list[int], monkeypatch: pytest.MonkeyPatch, first: signal.Signals
) -> None:
    monkeypatch.setattr("core.process.draining.DRAIN_SECONDS", 0.05)

    async def drain() -> None:
        Draining().install()
        signal.raise_signal(first)
        signal.raise_signal(signal.SIGTERM)
        assert signals == []
        while not signals:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        signal.raise_signal(signal.SIGTERM)
        assert signals == [first, signal.SIGTERM]

    asyncio.run(drain())


def test_signals_are_not_handled_outside_the_main_thread() -> None:
    draining = Draining()
    before = signal.getsignal(signal.SIGINT)
    failed: list[BaseException] = []

    async def install() -> None:
        draining.install()

    def run_in_thread() -> None:
        try:
            asyncio.run(install())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run_in_thread)
    thread.start()
    thread.join()
    assert failed == []
    assert signal.getsignal(signal.SIGINT) is before


def test_ignored_signals_stay_ignored() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:

        async def install() -> None:
            Draining().install()

        asyncio.run(install())
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_failed_startup_reports_the_reason_and_exits(service: RunningService) -> None:
    """A component that fails to open ends uvicorn, and the open ones are closed, so the process exits."""
    code = (
        "import agent_router.asgi as asgi, uvicorn\n"
        "class Broken:\n"
        "    async def open(self): raise RuntimeError('the broken one')\n"
        "    async def close(self): pass\n"
        "from core.process.lifespan import Lifespan\n"
        "lifespan = Lifespan([*asgi.lifespan.components, Broken()])\n"
        f"uvicorn.run(asgi.Handler(asgi.router, lifespan), port={free_port()}, log_config=None)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT, env=service.environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 3
    assert "the broken one" in done.stdout + done.stderr
