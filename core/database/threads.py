"""A fixed group of threads that run jobs for the event loop.

Jobs of a few loop iterations go to the threads together, and their results wake the loop once. Under load, this cuts
the cost of the hop from about thirty microseconds per job to a few.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from django.conf import settings
from django.db import connections

from core.database.metrics import POOL_WAIT
from core.http.problems import ServiceUnavailable

CLOSE_POLL_SECONDS = 0.005
# Loop iterations that a read waits for other jobs. A write waits longer: see WRITE_TURNS in core/database/pool.py.
READ_TURNS = 2

logger = logging.getLogger("agent_router.database")


@dataclass(slots=True)
class Job:
    """A function to run in a thread, and its result or error."""

    run: Callable[[], Any]
    future: asyncio.Future[Any]
    queued_at: float = field(default_factory=time.monotonic)
    result: Any = None
    error: BaseException | None = None

    def execute(self) -> None:
        try:
            self.result = self.run()
        except BaseException as error:
            self.error = error


def execute_each(jobs: Sequence[Job]) -> None:
    for job in jobs:
        job.execute()


class ThreadGroup:
    """`count` threads. `work` receives the jobs that a thread runs together, at most `batch` or a few more.

    A job waits `turns` iterations of the loop for other jobs. At most DB_MAX_WAITING jobs wait or run, and none waits
    longer than DB_MAX_WAIT_SECONDS; other jobs fail with ServiceUnavailable.
    """

    def __init__(
        self,
        name: str,
        *,
        count: int,
        connect: Callable[[], None],
        work: Callable[[Sequence[Job]], None],
        batch: int = 1,
        turns: int = READ_TURNS,
    ) -> None:
        self.name, self.count = name, count
        self._batch, self._turns = batch, turns
        self.max_waiting = settings.DB_MAX_WAITING
        self.max_wait_seconds: float = settings.DB_MAX_WAIT_SECONDS
        self.waiting = 0
        self._connect, self._work = connect, work
        self._queue: SimpleQueue[list[Job] | None] = SimpleQueue()
        self._submitted: list[Job] = []
        self._threads: list[threading.Thread] = []
        # Each thread writes only its own entry.
        self._is_busy = [False] * count
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._threads = [
            threading.Thread(target=self._run, args=(number,), name=f"{self.name}-{number}", daemon=True)
            for number in range(self.count)
        ]
        for thread in self._threads:
            thread.start()

    async def close(self) -> None:
        """Refuse new jobs, finish the submitted ones, and wait until the threads have ended."""
        self._hand_over()
        self._loop = None
        for _ in self._threads:
            self._queue.put(None)
        # Polled, because a helper thread that joins them would block the exit of the process after a timeout here.
        while any(thread.is_alive() for thread in self._threads):  # noqa: ASYNC110  # threads have no end event
            await asyncio.sleep(CLOSE_POLL_SECONDS)
        self._threads = []

    def submit[T](self, run: Callable[[], T]) -> asyncio.Future[T]:
        """Return a future of the function's result. Raises ServiceUnavailable if too many jobs wait."""
        if self._loop is None:
            raise RuntimeError(f"the {self.name} threads are not open")
        if self.waiting >= self.max_waiting:
            raise ServiceUnavailable("Too many requests wait for the database")
        # The caller's context gives the job's log lines their request id and its spans their parent.
        job = Job(partial(copy_context().run, run), self._loop.create_future())
        self.waiting += 1
        if not self._submitted:
            self._loop.call_soon(self._await_others, self._loop, self._turns)
        self._submitted.append(job)
        return job.future

    def _await_others(self, loop: asyncio.AbstractEventLoop, turns: int) -> None:
        if turns:
            loop.call_soon(self._await_others, loop, turns - 1)
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        jobs, self._submitted = self._submitted, []
        # Few jobs are spread over the threads; many jobs are split into batches.
        size = max(1, min(self._batch, len(jobs) // self.count))
        for start in range(0, len(jobs), size):
            self._queue.put(jobs[start : start + size])

    def _run(self, number: int) -> None:
        try:
            self._connect()
        except Exception:  # the thread must live on; its jobs will raise the error
            logger.exception("The %s thread could not connect", self.name)
        while (jobs := self._queue.get()) is not None:
            self._is_busy[number] = True
            self._take_more(jobs)
            self._run_jobs(jobs)
            self._is_busy[number] = False
            jobs[0].future.get_loop().call_soon_threadsafe(self._deliver, jobs)
        connections.close_all()

    def _take_more(self, jobs: list[Job]) -> None:
        # Idle threads take waiting jobs first: a slow job delays all jobs of its batch.
        while len(jobs) < self._batch and all(self._is_busy) and not self._queue.empty():
            try:
                more = self._queue.get_nowait()
            except Empty:  # another thread was faster
                return
            if more is None:
                self._queue.put(None)
                return
            jobs += more

    def _run_jobs(self, jobs: list[Job]) -> None:
        now = time.monotonic()
        oldest = now - self.max_wait_seconds
        wanted = [job for job in jobs if not job.future.cancelled() and job.queued_at >= oldest]
        for job in jobs:
            POOL_WAIT.observe(now - job.queued_at)
            if job.queued_at < oldest:
                job.error = ServiceUnavailable("The database has been busy for too long")
        try:
            if wanted:
                self._work(wanted)
        except BaseException as error:  # a dead thread would leave its jobs waiting
            logger.exception("The %s thread failed", self.name)
            for job in wanted:
                job.error = job.error or error

    def _deliver(self, jobs: list[Job]) -> None:
        self.waiting -= len(jobs)
        for job in jobs:
            if job.future.done():
                continue
            if job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.result)
