"""The outage state of one database server, shared by all threads of the process.

Requests wait a few seconds for a server that restarts. Later they fail at once, and one thread at a time reconnects.
"""

import logging
import threading
import time
from collections.abc import Callable

from django.db import DatabaseError, OperationalError

RETRY_SECONDS = 0.1

logger = logging.getLogger("agent_router.database")


class Outage:
    def __init__(self, *, is_logged: bool = True) -> None:
        self._is_logged = is_logged
        self._changed = threading.Condition()
        self._began = 0.0
        self._is_trying = False
        self._next_try = 0.0
        # When a thread last lost its connection (time.monotonic): other threads may have lost theirs.
        self.connection_lost_at = 0.0

    def note_lost_connection(self) -> None:
        """Make the other threads check their connections before they write."""
        self.connection_lost_at = time.monotonic()

    @property
    def is_on(self) -> bool:
        return self._began > 0

    def connect(self, connect: Callable[[], None], *, wait_seconds: float) -> None:
        """Connect, and retry until an outage has lasted for `wait_seconds`. Raises DatabaseError."""
        while True:
            if self._may_try():
                try:
                    connect()
                except DatabaseError as error:
                    self._note_failure(error)
                    if time.monotonic() >= self._began + wait_seconds:
                        raise
                else:
                    self._note_success()
                    return
            elif not self._wait(wait_seconds):
                raise OperationalError("the database server is out of reach")

    def _may_try(self) -> bool:
        with self._changed:
            if not self.is_on:
                return True
            if self._is_trying or time.monotonic() < self._next_try:
                return False
            self._is_trying = True
            return True

    def _wait(self, wait_seconds: float) -> bool:
        """Wait for the next attempt or its outcome; return False if the outage has lasted too long."""
        with self._changed:
            now = time.monotonic()
            if self.is_on and now >= self._began + wait_seconds:
                return False
            self._changed.wait(RETRY_SECONDS if self._is_trying else max(0.0, self._next_try - now))
            return True

    def _note_failure(self, error: DatabaseError) -> None:
        with self._changed:
            now = time.monotonic()
            if not self.is_on:
                self._began = now
                if self._is_logged:
                    logger.error("The database is out of reach: %s", str(error).strip())
            self._is_trying, self._next_try = False, now + RETRY_SECONDS
            self._changed.notify_all()

    def _note_success(self) -> None:
        with self._changed:
            if self.is_on and self._is_logged:
                logger.warning("The database is back after %.1f seconds", time.monotonic() - self._began)
            self._began, self._is_trying = 0.0, False
            self._changed.notify_all()


# Of the primary.
outage = Outage()
