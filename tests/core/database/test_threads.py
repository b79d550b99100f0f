"""The threads: jobs are handed over together, waiting is bounded, and no job or thread is lost."""

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from core.database.threads import Job, ThreadGroup
from core.http.problems import ServiceUnavailable

SECONDS = 10.0


class Work:
    """Runs jobs one after the other, and records the batches."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.connected: list[str] = []
        self.finished: list[str] = []

    def __call__(self, jobs: Sequence[Job]) -> None:
        self.batches.append(len(jobs))
        for job in jobs:
            try:
                job.result = job.run()
            except BaseException as error:
                job.error = error

    def connect(self) -> None:
        self.connected.append(threading.current_thread().name)

    def finish(self) -> None:
        self.finished.append(threading.current_thread().name)


@asynccontextmanager
async def opened(
    work: Any, *, max_waiting: int = 100, max_wait_seconds: float = SECONDS, **options: Any
) -> AsyncIterator[ThreadGroup]:
    """Open a group of `count` threads, by default one."""
    defaults: dict[str, Any] = {
        "count": 1,
        "batch": 8,
        "turns": 0,
        "connect": getattr(work, "connect", lambda: None),
    }
    group = ThreadGroup("test", work=work, **{**defaults, **options})
    group.max_waiting, group.max_wait_seconds = max_waiting, max_wait_seconds
    group.open()
    try:
        yield group
    finally:
        await group.close()


def run[T](test: Callable[[], Any]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(SECONDS):
            await test()

    asyncio.run(limited())


class Gate:
    """A job that blocks its thread until `open`."""

    def __init__(self) -> None:
        self.entered, self._open = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.entered.set()
        assert self._open.wait(SECONDS)
        return "passed"

    def open(self) -> None:
        self._open.set()

    async def is_entered(self) -> None:
        assert await asyncio.to_thread(self.entered.wait, SECONDS)


def test_results_and_exceptions_reach_their_callers() -> None:
    async def test() -> None:
        async with opened(Work(), count=3) as group:
            futures = [group.submit(lambda n=n: 60 // n) for n in range(20)]  # type: ignore[misc]
            results = await asyncio.gather(*futures, return_exceptions=True)
            assert isinstance(results[0], ZeroDivisionError)
            assert results[1:] == [60 // n for n in range(1, 20)]
            assert group.waiting == 0

    run(test)


@pytest.mark.parametrize(
    "error", [StopIteration, StopAsyncIteration, asyncio.CancelledError, GeneratorExit, SystemExit]
)
def test_unusual_exceptions_reach_their_callers(error: type[BaseException]) -> None:
    def fail() -> None:
        raise error

    async def test() -> None:
        async with opened(Work()) as group:
            bad, good = group.submit(fail), group.submit(lambda: "good")
            assert await good == "good"
            with pytest.raises((error, RuntimeError)):
                bad.result()
            assert group.waiting == 0

    run(test)


def test_jobs_of_one_loop_iteration_are_handed_over_together() -> None:
    async def test() -> None:
        work = Work()
        async with opened(work) as group:
            await asyncio.gather(*[group.submit(int) for _ in range(20)])
            assert work.batches == [8, 8, 4]

    run(test)


def test_jobs_of_a_few_iterations_are_handed_over_together() -> None:
    async def test() -> None:
        work = Work()
        async with opened(work, turns=3) as group:
            futures = []
            for _ in range(4):
                futures.append(group.submit(int))
                await asyncio.sleep(0)
            await asyncio.gather(*futures)
            assert work.batches == [4]

    run(test)


def test_jobs_behind_a_slow_job_run_as_one_batch() -> None:
    async def test() -> None:
        work, gate = Work(), Gate()
        async with opened(work) as group:
            futures: list[asyncio.Future[Any]] = [group.submit(gate)]
            await gate.is_entered()
            for _ in range(5):
                futures.append(group.submit(int))
                await asyncio.sleep(0)
            gate.open()
            await asyncio.gather(*futures)
            assert work.batches == [1, 5]

    run(test)


def test_busy_thread_leaves_jobs_to_idle_threads() -> None:
    """Otherwise a slow job would delay fast jobs while another thread is idle."""

    async def test() -> None:
        async with opened(Work(), count=4) as group:
            for _ in range(100):
                barrier = threading.Barrier(4, timeout=SECONDS)
                await asyncio.gather(*[group.submit(barrier.wait) for _ in range(4)])

    run(test)


def test_results_of_a_batch_wake_the_loop_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        wake_ups = []
        call_soon_threadsafe = loop.call_soon_threadsafe

        def counting(callback: Any, *args: Any, **options: Any) -> Any:
            wake_ups.append(callback)
            return call_soon_threadsafe(callback, *args, **options)

        async with opened(Work()) as group:
            monkeypatch.setattr(loop, "call_soon_threadsafe", counting)
            await asyncio.gather(*[group.submit(int) for _ in range(8)])
            assert len(wake_ups) == 1
            monkeypatch.undo()

    run(test)


def test_jobs_beyond_the_limit_are_refused_at_once() -> None:
    async def test() -> None:
        gate = Gate()
        async with opened(Work(), max_waiting=3) as group:
            futures: list[asyncio.Future[Any]] = [group.submit(gate), group.submit(int), group.submit(int)]
            with pytest.raises(ServiceUnavailable) as refusal:
                await group.submit(int)
            assert refusal.value.headers["Retry-After"] == "1"
            gate.open()
            assert await asyncio.gather(*futures) == ["passed", 0, 0]
            assert await group.submit(int) == 0

    run(test)


def test_job_that_waited_too_long_is_refused() -> None:
    async def test() -> None:
        gate, ran = Gate(), []
        async with opened(Work(), max_wait_seconds=0.05) as group:
            first = group.submit(gate)
            await gate.is_entered()
            late = group.submit(lambda: ran.append(1))
            await asyncio.sleep(0.1)
            gate.open()
            assert await first == "passed"
            with pytest.raises(ServiceUnavailable):
                await late
            assert not ran
            assert await group.submit(int) == 0
            assert group.waiting == 0

    run(test)


def test_job_of_a_cancelled_caller_is_not_run() -> None:
    async def test() -> None:
        gate, ran = Gate(), []
        async with opened(Work()) as group:
            first = group.submit(gate)
            await gate.is_entered()
            gone = group.submit(lambda: ran.append(1))
            gone.cancel()
            gate.open()
            assert await first == "passed"
            assert await group.submit(int) == 0
            assert (ran, group.waiting) == ([], 0)

    run(test)


def test_caller_may_be_cancelled_while_its_job_runs() -> None:
    async def test() -> None:
        gate = Gate()
        async with opened(Work()) as group:
            gone, other = group.submit(gate), group.submit(int)
            await gate.is_entered()
            gone.cancel()
            gate.open()
            assert await other == 0

    run(test)


def test_failing_work_fails_its_jobs(caplog: pytest.LogCaptureFixture) -> None:
    def work(jobs: Sequence[Job]) -> None:
        raise RuntimeError("work is broken")

    async def test() -> None:
        async with opened(work) as group:
            for _ in range(2):
                results = await asyncio.gather(*[group.submit(int) for _ in range(3)], return_exceptions=True)
                assert [str(result) for result in results] == ["work is broken"] * 3

    run(test)
    assert "The test thread failed" in caplog.text


def test_thread_that_cannot_connect_still_takes_jobs(caplog: pytest.LogCaptureFixture) -> None:
    def connect() -> None:
        raise RuntimeError("no connection")

    async def test() -> None:
        async with opened(Work(), connect=connect, count=2) as group:
            assert await asyncio.gather(*[group.submit(int) for _ in range(4)]) == [0] * 4

    run(test)
    assert "could not connect" in caplog.text


def test_threads_connect_when_the_group_opens() -> None:
    async def test() -> None:
        connected = threading.Barrier(3, timeout=SECONDS)
        async with opened(Work(), count=2, connect=connected.wait):
            await asyncio.to_thread(connected.wait)

    run(test)


def test_group_without_jobs_closes_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        work = Work()
        monkeypatch.setattr("core.database.threads.connections", SimpleNamespace(close_all=work.finish))
        async with opened(work, count=2):
            pass
        assert sorted(work.finished) == ["test-0", "test-1"]

    run(test)


def test_close_finishes_submitted_jobs_and_ends_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        work, gate = Work(), Gate()
        monkeypatch.setattr("core.database.threads.connections", SimpleNamespace(close_all=work.finish))
        async with opened(work, count=3) as group:
            futures: list[asyncio.Future[Any]] = [group.submit(gate), *(group.submit(int) for _ in range(50))]
            await gate.is_entered()
            closing = asyncio.create_task(group.close())
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="not open"):
                await group.submit(int)
            gate.open()
            await closing
            assert await asyncio.gather(*futures) == ["passed", *[0] * 50]
        assert sorted(work.connected) == sorted(work.finished) == ["test-0", "test-1", "test-2"]
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("test-")]

    run(test)


def test_closed_group_can_be_opened_again() -> None:
    async def test() -> None:
        work = Work()
        async with opened(work) as group:
            assert await group.submit(int) == 0
            await group.close()
            group.open()
            assert await group.submit(int) == 0

    run(test)


def test_finished_job_is_garbage_collected() -> None:
    class Held:
        pass

    async def test() -> None:
        async with opened(Work()) as group:
            held = Held()
            gone = weakref.ref(held)
            await group.submit(lambda held=held: None)  # type: ignore[misc]
            del held
            await group.submit(int)  # a thread keeps its last batch until the next batch
            await asyncio.sleep(0)
            gc.collect()
            assert gone() is None

    run(test)


def test_no_job_is_lost_under_contention() -> None:
    """Several tasks submit many small batches while the threads look for more jobs."""

    async def one(group: ThreadGroup, number: int) -> None:
        for round_ in range(200):
            assert await group.submit(lambda value=round_: value) == round_  # type: ignore[misc]
            if number % 3 == 0:
                await asyncio.sleep(0)

    async def test() -> None:
        async with opened(Work(), count=6, batch=4, max_waiting=1000) as group:
            await asyncio.gather(*[one(group, number) for number in range(12)])
            assert group.waiting == 0

    run(test)


def test_thread_with_jobs_does_not_wait_for_more() -> None:
    """A thread sees a batch in the queue, and another thread takes that batch: the first thread must not wait."""

    async def test() -> None:
        async with opened(Work()) as group:
            queue = group._queue

            class Emptied:
                """Pretend that the queue has a batch which another thread has taken meanwhile."""

                def empty(self) -> bool:
                    return False

                def __getattr__(self, name: str) -> Any:
                    return getattr(queue, name)

            group._queue = Emptied()  # type: ignore[assignment]
            began = time.monotonic()
            assert await asyncio.wait_for(group.submit(int), 5) == 0
            assert time.monotonic() - began < 5
            group._queue = queue

    run(test)
