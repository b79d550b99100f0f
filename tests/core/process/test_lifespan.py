"""What is opened at the start and closed at the end, whatever goes wrong between."""

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
    """Leaves pytest its own handling of signals."""
    monkeypatch.setattr(draining, "install", lambda: None)


class Noted:
    """A resource that notes what happens to it."""

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
    """What the protocol says to a server that starts and stops."""
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


def test_resources_are_opened_in_order_and_closed_in_reverse() -> None:
    notes: list[str] = []
    sent = run([Noted(name, notes) for name in "abc"])
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert notes == [
        "lifespan.startup", "open a", "open b", "open c", "lifespan.shutdown", "close c", "close b", "close a",
    ]  # fmt: skip


def test_resource_that_does_not_open_ends_the_start(caplog: pytest.LogCaptureFixture) -> None:
    notes: list[str] = []
    sent = run([Noted("a", notes), Noted("b", notes, fails="open"), Noted("c", notes)])
    assert sent == [{"type": "lifespan.startup.failed", "message": "b cannot be opened"}]
    assert notes == ["lifespan.startup", "open a", "open b", "close a"]
    assert "The service could not start" in caplog.text


def test_resource_that_does_not_close_keeps_no_other_open(caplog: pytest.LogCaptureFixture) -> None:
    notes: list[str] = []
    sent = run([Noted("a", notes), Noted("b", notes, fails="close"), Noted("c", notes)])
    assert notes[-3:] == ["close c", "close b", "close a"]
    assert sent[-1] == {"type": "lifespan.shutdown.complete"}
    assert "Noted could not be closed" in caplog.text


@pytest.fixture
def signals() -> Iterator[list[int]]:
    """Stands for the server's handling of signals; pytest's own is put back."""
    seen: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, lambda number, _: seen.append(number))
    yield seen
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_server_learns_of_a_signal_after_the_drain(
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
def test_ctrl_c_during_the_drain_is_the_servers_at_once(signals: list[int], first: signal.Signals) -> None:
    async def drain() -> None:
        Draining().install()
        signal.raise_signal(first)
        assert signals == []
        signal.raise_signal(signal.SIGINT)
        assert signals == [signal.SIGINT]

    asyncio.run(drain())


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_signal_that_a_parent_passes_on_does_not_cut_the_drain_short(
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


def test_signals_are_left_alone_where_they_cannot_be_handled() -> None:
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


def test_signals_that_nobody_handles_stay_so() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:

        async def install() -> None:
            Draining().install()

        asyncio.run(install())
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_service_that_cannot_start_says_why_and_ends(service: RunningService) -> None:
    """A failing resource ends uvicorn; what was open is closed, so nothing keeps the process."""
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
