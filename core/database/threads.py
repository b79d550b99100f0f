"""A fixed group of threads that run jobs for the event loop.

Hand-overs are shared: the jobs of a few turns of the loop go to the threads together, and the results of all jobs that
a thread ran in one go come back with one wake-up of the loop. At load, that makes the hop to a thread and back cost
a few microseconds a job rather than thirty. A turn is some microseconds while the loop has nothing else to do, and
about a millisecond when it is busy, which is when there are others to wait for.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from core.http.problems import ServiceUnavailable

AWAIT_END_SECONDS = 0.005
# For reads. A write, whose commit costs more than the hop, waits for longer (core/database/pool.py).
TURNS = 2

logger = logging.getLogger("agent_router.database")


class Job:
    """A function to run in a thread, and what came of it."""

    __slots__ = ("error", "future", "queued_at", "result", "run")

    def __init__(self, run: Callable[[], Any], future: asyncio.Future[Any]) -> None:
        self.run = run
        self.future = future
        self.queued_at = time.monotonic()
        self.result: Any = None
        self.error: BaseException | None = None


class ThreadGroup:
    """`count` threads. `work` runs the jobs that a thread takes at once: while all are busy, `batch` or a few more.

    A job waits `turns` turns of the loop for others to be handed over with.

    A thread runs `prepare` before its first jobs, or when there have been none for `prepare_after` seconds.

    At most `max_waiting` jobs wait or run, and none waits longer than `max_wait_seconds`: beyond that they are
    refused with 503, for a queue without bounds only makes every answer late. `observe_wait` is told the seconds that
    each job waited.
    """

    def __init__(
        self,
        name: str,
        *,
        count: int,
        batch: int,
        work: Callable[[Sequence[Job]], None],
        prepare: Callable[[], None],
        finish: Callable[[], None],
        observe_wait: Callable[[float], None],
        max_waiting: int,
        max_wait_seconds: float,
        turns: int = TURNS,
        prepare_after: float = 0.0,
    ) -> None:
        self.name, self.count, self.batch, self.turns = name, count, batch, turns
        self.max_waiting, self.max_wait_seconds = max_waiting, max_wait_seconds
        self.waiting = 0
        self._work, self._prepare, self._finish = work, prepare, finish
        self._prepare_after = prepare_after
        self._observe_wait = observe_wait
        self._queue: SimpleQueue[list[Job] | None] = SimpleQueue()
        self._gathered: list[Job] = []
        self._threads: list[threading.Thread] = []
        # Each is changed by its own thread alone.
        self._is_busy = [False] * count
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        """Starts the threads, for the running loop."""
        self._loop = asyncio.get_running_loop()
        self._threads = [
            threading.Thread(target=self._run, args=(number,), name=f"{self.name}-{number}", daemon=True)
            for number in range(self.count)
        ]
        for thread in self._threads:
            thread.start()

    async def close(self) -> None:
        """Takes no more jobs, lets the threads finish what they were given, and waits for their end."""
        self._hand_over()
        self._loop = None
        for _ in self._threads:
            self._queue.put(None)
        # Not by a thread that joins them: whoever gives up waiting here would wait for that one at the process' end.
        while any(thread.is_alive() for thread in self._threads):  # noqa: ASYNC110  # a thread tells nobody of its end
            await asyncio.sleep(AWAIT_END_SECONDS)
        self._threads = []

    def submit(self, run: Callable[[], Any]) -> asyncio.Future[Any]:
        """A future of what the function returns or raises. Raises ServiceUnavailable if too many jobs wait."""
        if self._loop is None:
            raise RuntimeError(f"the {self.name} threads are not open")
        if self.waiting >= self.max_waiting:
            raise ServiceUnavailable("Too many requests wait for the database")
        # In the caller's context: lines that the job logs carry the request's id, and its spans their parent.
        job = Job(partial(copy_context().run, run), self._loop.create_future())
        self.waiting += 1
        if not self._gathered:
            self._loop.call_soon(self._await_others, self._loop, self.turns)
        self._gathered.append(job)
        return job.future

    def _await_others(self, loop: asyncio.AbstractEventLoop, turns: int) -> None:
        if turns:
            loop.call_soon(self._await_others, loop, turns - 1)
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        jobs, self._gathered = self._gathered, []
        # Few jobs are spread over the threads; many are taken in turns of at most `batch`.
        size = max(1, min(self.batch, len(jobs) // self.count))
        for start in range(0, len(jobs), size):
            self._queue.put(jobs[start : start + size])

    def _run(self, number: int) -> None:
        jobs = self._await_first()
        try:
            self._prepare()
        except Exception:  # the jobs will say what is wrong; without the thread they would wait for ever
            logger.exception("The %s thread could not prepare", self.name)
        while jobs is not None:
            if jobs:
                self._is_busy[number] = True
                self._take_more(jobs)
                self._run_jobs(jobs)
                self._is_busy[number] = False
                jobs[0].future.get_loop().call_soon_threadsafe(self._deliver, jobs)
            jobs = self._queue.get()
        self._finish()

    def _await_first(self) -> list[Job] | None:
        try:
            return self._queue.get(timeout=self._prepare_after)
        except Empty:
            return []

    def _take_more(self, jobs: list[Job]) -> None:
        # What waits is left to a thread that has nothing to do: a slow job holds up those that come after it.
        while len(jobs) < self.batch and all(self._is_busy) and not self._queue.empty():
            try:
                more = self._queue.get_nowait()
            except Empty:  # another thread was faster: to wait here would keep the jobs in hand waiting, too
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
            self._observe_wait(now - job.queued_at)
            if job.queued_at < oldest:
                job.error = ServiceUnavailable("The database has been busy for too long")
        try:
            if wanted:
                self._work(wanted)
        except BaseException as error:  # a thread that dies would leave its jobs waiting for ever
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
