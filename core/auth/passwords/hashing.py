"""Where passwords are hashed: a few threads of low priority, and a queue with an end.

At most PASSWORD_HASHING_THREADS hashes run at once, so the memory that all log-ins together can take is
`threads * ARGON2_MEMORY_KIB`, 38 MiB by default. Argon2 lets go of the GIL; so that it does not keep the
processor from the event loop either, its threads are niced. Whoever comes when the queue is full is told so
at once.
"""

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from django.conf import settings

from core.auth import metrics
from core.auth.passwords import rules
from core.http.problems import ServiceUnavailable

NICENESS = 10
RETRY_AFTER_SECONDS = 2


class PasswordHashing:
    """The process's pool.

    `open` and `close` belong to the lifespan; a place is taken before any other work is done.
    """

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None
        self._places = 0
        self._taken = 0
        self._nobodys_hash = ""

    async def open(self) -> None:
        """Makes room for the threads."""
        threads = settings.PASSWORD_HASHING_THREADS
        self._places = threads + settings.PASSWORD_HASHING_QUEUE
        self._executor = ThreadPoolExecutor(threads, "hashing", initializer=_lower_priority)
        self._nobodys_hash = rules.unmatched_hash()

    async def close(self) -> None:
        """Waits for what runs, and drops what waits."""
        if self._executor is not None:
            executor, self._executor = self._executor, None
            await asyncio.to_thread(executor.shutdown, wait=True, cancel_futures=True)

    @property
    def nobodys_hash(self) -> str:
        """What a password for no account is compared with, so that it takes the same time."""
        return self._nobodys_hash

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Holds one of the places for a log-in from its first step to its last.

        Raises ServiceUnavailable if none.
        """
        if self._taken >= self._places:
            metrics.hashing_refused.inc()
            raise ServiceUnavailable("Too many log-ins at once", retry_after_seconds=RETRY_AFTER_SECONDS)
        self._taken += 1
        metrics.hashing_places_taken.inc()
        try:
            yield
        finally:
            self._taken -= 1
            metrics.hashing_places_taken.dec()

    async def run[T](self, job: Callable[[], T]) -> T:
        """The job's result, from a thread of the pool. Only within `place`, which bounds the queue."""
        if self._executor is None:
            raise ServiceUnavailable("The service is stopping")
        future: Future[T] = self._executor.submit(job)
        return await asyncio.wrap_future(future)

    async def warm_up(self) -> None:
        """Has Django read its list of common passwords, 20 ms, and loads Argon2, now rather than for a request."""
        await self.run(_hash_once)


def _lower_priority() -> None:
    # On Linux a thread has a niceness of its own; elsewhere this would slow down the whole process.
    if sys.platform == "linux":
        with contextlib.suppress(PermissionError):  # a sandbox may forbid even that
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _hash_once() -> None:
    rules.hash_new_password("A-str0ng-passphrase!", email="nobody@localhost", pointer="#")


hashing = PasswordHashing()
