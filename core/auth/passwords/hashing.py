"""The thread pool that hashes passwords, with a bounded queue.

All logins together take at most `PASSWORD_HASHING_THREADS * ARGON2_MEMORY_KIB` of memory. Argon2 releases the GIL, and
its threads are niced, so the event loop keeps its share of the processor.
"""

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from django.conf import settings

from core.auth import metrics
from core.auth.passwords import rules
from core.http.problems import ServiceUnavailable

NICENESS = 10
RETRY_AFTER_SECONDS = 2


class PasswordHashing:
    """The process's pool. Take a slot before doing any other work of a login."""

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None
        self._slots = 0
        self._taken = 0
        self.dummy_hash = ""

    async def open(self) -> None:
        # The first hash also loads Argon2 and the list of common passwords.
        threads = settings.PASSWORD_HASHING_THREADS
        self._slots = threads + settings.PASSWORD_HASHING_QUEUE
        self._executor = ThreadPoolExecutor(threads, "hashing", initializer=_lower_priority)
        self.dummy_hash = await self.run(rules.make_dummy_hash)

    async def close(self) -> None:
        if self._executor is not None:
            executor, self._executor = self._executor, None
            await asyncio.to_thread(executor.shutdown, wait=True, cancel_futures=True)

    @contextlib.contextmanager
    def slot(self) -> Iterator[None]:
        """Hold a slot for a whole login. Raises ServiceUnavailable if all slots are taken."""
        if self._taken >= self._slots:
            metrics.hashing_refused.inc()
            raise ServiceUnavailable("Too many logins at once", retry_after_seconds=RETRY_AFTER_SECONDS)
        self._taken += 1
        metrics.hashing_slots_taken.inc()
        try:
            yield
        finally:
            self._taken -= 1
            metrics.hashing_slots_taken.dec()

    async def run[T](self, job: Callable[[], T]) -> T:
        """Run the job in a thread of the pool. Call this within `slot`, which bounds the queue."""
        if self._executor is None:
            raise ServiceUnavailable("The service is shutting down")
        return await asyncio.wrap_future(self._executor.submit(job))


def _lower_priority() -> None:
    # Only Linux has a niceness for each thread. Elsewhere this would slow down the whole process.
    if sys.platform == "linux":
        with contextlib.suppress(PermissionError):  # some sandboxes forbid it
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


hashing = PasswordHashing()
