"""Whether the database server is away, as far as the threads of this process know: they share what one found out.

A restart of the server is to cost requests a moment and no errors, so they wait for it, for a while. When that is
over they fail at once, and one thread at a time finds out whether the server is back.
"""

import logging
import threading
import time
from collections.abc import Callable

from django.db import DatabaseError, OperationalError

TRY_EVERY_SECONDS = 0.1

logger = logging.getLogger("agent_router.database")


class Outage:
    """At most one of a server, shared by all threads of the process. With `is_told` the log tells of it."""

    def __init__(self, *, is_told: bool = True) -> None:
        self._is_told = is_told
        self._changed = threading.Condition()
        self._began = 0.0
        self._is_trying = False
        self._next_try = 0.0
        # When a thread last found its connection lost (time.monotonic): the others' may be as well.
        self.connection_lost_at = 0.0

    def note_lost_connection(self) -> None:
        """Has the other threads try theirs before they write."""
        self.connection_lost_at = time.monotonic()

    @property
    def is_on(self) -> bool:
        return self._began > 0

    def connect(self, connect: Callable[[], None], *, patience_seconds: float) -> None:
        """Connects, trying again until an outage has lasted for `patience_seconds`. Raises DatabaseError."""
        while True:
            if self._may_try():
                try:
                    connect()
                except DatabaseError as error:
                    self._note_failure(error)
                    if time.monotonic() >= self._began + patience_seconds:
                        raise
                else:
                    self._note_success()
                    return
            elif not self._wait(patience_seconds):
                raise OperationalError("the database server is out of reach")

    def _may_try(self) -> bool:
        """Without an outage every thread may connect, in an outage one at a time."""
        with self._changed:
            if not self.is_on:
                return True
            if self._is_trying or time.monotonic() < self._next_try:
                return False
            self._is_trying = True
            return True

    def _wait(self, patience_seconds: float) -> bool:
        """Waits for the next try or its outcome; False if the outage has lasted for too long to wait."""
        with self._changed:
            now = time.monotonic()
            if self.is_on and now >= self._began + patience_seconds:
                return False
            self._changed.wait(TRY_EVERY_SECONDS if self._is_trying else max(0.0, self._next_try - now))
            return True

    def _note_failure(self, error: DatabaseError) -> None:
        with self._changed:
            now = time.monotonic()
            if not self.is_on:
                self._began = now
                if self._is_told:
                    logger.error("The database is out of reach: %s", str(error).strip())
            self._is_trying, self._next_try = False, now + TRY_EVERY_SECONDS
            self._changed.notify_all()

    def _note_success(self) -> None:
        with self._changed:
            if self.is_on and self._is_told:
                logger.warning("The database is back after %.1f seconds", time.monotonic() - self._began)
            self._began, self._is_trying = 0.0, False
            self._changed.notify_all()


outage = Outage()
