"""The hashing pool: bounded threads, bounded queue, low priority."""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from core.auth.passwords.hashing import NICENESS, PasswordHashing
from core.auth.passwords.rules import hash_password, verify_and_upgrade
from core.http.problems import ServiceUnavailable


@pytest.fixture(autouse=True)
def small(settings: Any) -> None:
    settings.PASSWORD_HASHING_THREADS, settings.PASSWORD_HASHING_QUEUE = 2, 3


def run(scenario: Callable[[PasswordHashing], Awaitable[None]]) -> None:
    async def whole() -> None:
        hashing = PasswordHashing()
        await hashing.open()
        try:
            await scenario(hashing)
        finally:
            await hashing.close()

    asyncio.run(whole())


@contextmanager
def held() -> Iterator[Callable[[], None]]:
    """Yield a job that runs until the block ends."""
    end = threading.Event()
    try:
        yield lambda: _wait(end)
    finally:
        end.set()


def _wait(end: threading.Event) -> None:
    end.wait(20)


async def in_slot(hashing: PasswordHashing, job: Callable[[], Any]) -> Any:
    with hashing.slot():
        return await hashing.run(job)


def test_concurrent_jobs_are_bounded_by_the_threads() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def job() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1

    async def scenario(hashing: PasswordHashing) -> None:
        # Both threads have started once these two jobs meet.
        meeting = threading.Barrier(2, timeout=20)
        await asyncio.gather(*(in_slot(hashing, meeting.wait) for _ in range(2)))
        await asyncio.gather(*(in_slot(hashing, job) for _ in range(5)))
        assert most == 2

    run(scenario)


def test_full_queue_refuses_at_once() -> None:
    async def scenario(hashing: PasswordHashing) -> None:
        with held() as job:
            waiting = [asyncio.create_task(in_slot(hashing, job)) for _ in range(5)]
            await asyncio.sleep(0.01)
            began = time.perf_counter()
            with pytest.raises(ServiceUnavailable) as refused:
                await in_slot(hashing, job)
            assert time.perf_counter() - began < 0.01
            assert int(refused.value.headers["Retry-After"]) > 0
        await asyncio.gather(*waiting)
        assert await in_slot(hashing, lambda: 5) == 5

    run(scenario)


def test_slot_is_released_after_failure_and_cancellation() -> None:
    async def scenario(hashing: PasswordHashing) -> None:
        for _ in range(20):
            with pytest.raises(ZeroDivisionError):
                await in_slot(hashing, lambda: 1 // 0)
        with held() as job:
            gone = [asyncio.create_task(in_slot(hashing, job)) for _ in range(5)]
            await asyncio.sleep(0.01)
            for task in gone:
                task.cancel()
            await asyncio.gather(*gone, return_exceptions=True)
            with hashing.slot():
                pass

    run(scenario)


def test_event_loop_runs_while_a_password_is_hashed() -> None:
    async def scenario(hashing: PasswordHashing) -> None:
        with held() as job:
            task = asyncio.create_task(in_slot(hashing, job))
            began = time.perf_counter()
            for _ in range(10):
                await asyncio.sleep(0)
            assert time.perf_counter() - began < 0.1
            assert not task.done()
        await task

    run(scenario)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a niceness for each thread")
def test_hashing_threads_have_lower_priority_than_the_event_loop() -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    async def scenario(hashing: PasswordHashing) -> None:
        usual = niceness()
        assert await in_slot(hashing, niceness) == min(19, max(usual, NICENESS))
        assert niceness() == usual

    run(scenario)


def test_sandbox_may_forbid_changing_priorities(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", refuse)

    async def scenario(hashing: PasswordHashing) -> None:
        assert await in_slot(hashing, lambda: "hashed") == "hashed"

    run(scenario)


def test_dummy_hash_has_the_current_parameters() -> None:
    async def scenario(hashing: PasswordHashing) -> None:
        dummy, real = hashing.dummy_hash, hash_password("A-str0ng-passphrase!")
        assert dummy.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")
        # Verifying takes the same time, because all parts have the same lengths.
        assert [len(part) for part in dummy.split("$")] == [len(part) for part in real.split("$")]
        assert verify_and_upgrade("A-str0ng-passphrase!", dummy) == (False, None)

    run(scenario)


def test_closed_pool_refuses() -> None:
    async def scenario() -> None:
        hashing = PasswordHashing()
        await hashing.open()
        await hashing.close()
        await hashing.close()
        with hashing.slot(), pytest.raises(ServiceUnavailable):
            await hashing.run(lambda: None)

    asyncio.run(scenario())


def test_close_waits_for_running_jobs_and_ends_all_threads() -> None:
    async def scenario(hashing: PasswordHashing) -> None:
        done: list[int] = []

        def job() -> None:
            time.sleep(0.1)
            done.append(1)

        task = asyncio.create_task(in_slot(hashing, job))
        await asyncio.sleep(0.03)
        await hashing.close()
        assert done == [1]
        await task
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("hashing")]

    run(scenario)
