"""Writes log lines to a file descriptor without blocking the event loop when the reader is slow.

While the writer is open, a thread writes the lines; a full queue drops and counts them. A closed writer writes each
line directly. docs/decisions/0010-log-writer.md compares this writer with logging's QueueHandler.
"""

import logging
import os
import select
import threading
import time
from queue import SimpleQueue

MAX_WAITING_BYTES = 16 * 1024 * 1024
BATCH_SECONDS = 0.01
CLOSE_SECONDS = 2.0
# POSIX: workers that share a pipe never interleave writes of at most this size.
ATOMIC_BYTES = select.PIPE_BUF

logger = logging.getLogger("agent_router.log_writer")


class LineWriter:
    """Not thread-safe: the lock of the logging handler allows one `write` at a time."""

    def __init__(self, descriptor: int, *, max_waiting_bytes: int = MAX_WAITING_BYTES) -> None:
        self.descriptor = descriptor
        self.max_waiting_bytes = max_waiting_bytes
        self._queue: SimpleQueue[bytes] = SimpleQueue()
        # Callers change the first of each pair and the thread changes the second, so neither needs a lock.
        self._queued_bytes = self._written_bytes = 0
        self._refused_lines = self._failed_lines = 0
        self._thread: threading.Thread | None = None
        self._is_closing = self._is_blocked = self._is_failing = False

    @property
    def dropped_lines(self) -> int:
        return self._refused_lines + self._failed_lines

    def open(self) -> None:
        if self._thread is None:
            self._is_closing = self._is_blocked = False
            self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Write the waiting lines, for at most CLOSE_SECONDS, and stop the thread."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._is_closing = True
            self._queue.put(b"")  # wakes the thread
            thread.join(CLOSE_SECONDS)
            self._is_blocked = thread.is_alive()
            if not self._is_blocked:
                # Another thread may have queued a line just before the close.
                self._write_waiting()

    def forget_thread(self) -> None:
        """Close the writer in a forked child, where the thread does not exist."""
        self._thread = None

    def write(self, line: bytes) -> None:
        if self._thread is None:
            # A reader that stopped reading must not keep the process from exiting.
            if self._is_blocked and not select.select([], [self.descriptor], [], 0)[1]:
                self._failed_lines += 1
            else:
                self._write_batch([line])
        elif self._queued_bytes - self._written_bytes > self.max_waiting_bytes:
            self._refused_lines += 1
        else:
            self._queued_bytes += len(line)
            self._queue.put(line)

    def flush(self, timeout_seconds: float = CLOSE_SECONDS) -> None:
        deadline = time.monotonic() + timeout_seconds
        while self._written_bytes < self._queued_bytes and self._thread and time.monotonic() < deadline:
            time.sleep(BATCH_SECONDS / 2)

    def _run(self) -> None:
        reported = 0
        while not self._is_closing:
            first = self._queue.get()
            if not self._is_closing:
                time.sleep(BATCH_SECONDS)
            self._write_waiting(first)
            # While writes fail, the warning would be lost too and cause another warning.
            if reported < (dropped := self.dropped_lines) and not self._is_failing:
                logger.warning("%d log lines were dropped: stdout is read too slowly", dropped - reported)
                reported = dropped

    def _write_waiting(self, first: bytes = b"") -> None:
        batch, size, total = [first], len(first), len(first)
        while not self._queue.empty():
            line = self._queue.get()
            if size + len(line) > ATOMIC_BYTES:
                self._write_batch(batch)
                batch, size = [], 0
            batch.append(line)
            size += len(line)
            total += len(line)
        self._write_batch(batch)
        self._written_bytes += total

    def _write_batch(self, lines: list[bytes]) -> None:
        data = b"".join(lines)
        if data:
            self._is_failing = not write_all(self.descriptor, data)
            if self._is_failing:
                self._failed_lines += sum(map(bool, lines))


def write_all(descriptor: int, data: bytes) -> bool:
    """Write all data. Wait for a slow reader; return False if the descriptor is closed."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:  # another process that shares the descriptor made it non-blocking
            select.select([], [descriptor], [], 1)
        except OSError:
            return False
    return True


stdout = LineWriter(1)
os.register_at_fork(after_in_child=stdout.forget_thread)
