"""Writes log lines to a file descriptor without ever making the event loop wait for whoever reads them.

While a process serves, lines are gathered and one thread writes them, some milliseconds' worth in one system
call. A reader that does not keep up blocks that thread alone; lines wait in bounded memory, and what does not
fit is counted and dropped. Before and after that, and in management commands, each line is written at once.
"""

import logging
import os
import select
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from multiprocessing import parent_process

MAX_WAITING_BYTES = 16 * 1024 * 1024
GATHER_SECONDS = 0.01
CLOSE_SECONDS = 2.0
# POSIX: a write of at most this many bytes to a pipe is never torn apart by other writers.
ATOMIC_BYTES = select.PIPE_BUF
# What an event that is not a line yet is taken to need.
EVENT_BYTES = 1024

type Event = Mapping[str, object]

logger = logging.getLogger("agent_router.log_writer")


class LineWriter:
    """`write` must not be called by two threads at once: a logging handler's own lock sees to that.

    It takes whole lines, and events that `encode` makes into lines: for the thread that is less work than for
    the event loop, since it does one after the other.
    """

    def __init__(self, descriptor: int, *, max_waiting_bytes: int = MAX_WAITING_BYTES) -> None:
        self.descriptor = descriptor
        self.max_waiting_bytes = max_waiting_bytes
        self.encode: Callable[[Event], bytes] = lambda event: repr(event).encode()
        self._waiting: deque[bytes | Event] = deque()
        # Each is changed by callers alone or by the thread alone, so that no lock is needed between them.
        self._queued_bytes = self._written_bytes = 0
        self._refused_lines = self._failed_lines = 0
        self._wake = threading.Semaphore(0)
        self._is_awake = False
        self._is_stopping = False
        self._is_stuck = self._is_failing = self._is_shared_pipe = False
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Starts the thread."""
        if self._thread is None:
            self._is_stopping = self._is_stuck = False
            self._is_shared_pipe = parent_process() is not None and _is_pipe(self.descriptor)
            self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Writes what waits, for at most CLOSE_SECONDS, and ends the thread. Later lines go out directly."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._is_stopping = True
            self._wake.release()
            thread.join(CLOSE_SECONDS)
            self._is_stuck = thread.is_alive()
            if not self._is_stuck:
                # What another thread handed over at this very moment.
                self._write_waiting()

    def forget_thread(self) -> None:
        """For a forked child, which has no such thread."""
        self._thread = None

    @property
    def dropped_lines(self) -> int:
        """How many lines were lost since the start of the process."""
        return self._refused_lines + self._failed_lines

    def write(self, line: bytes | Event) -> None:
        """Takes a whole line, with its line feed, or an event that nobody changes any more."""
        if self._thread is None:
            self._write_directly(self._encoded(line))
        elif self._queued_bytes - self._written_bytes > self.max_waiting_bytes:
            self._refused_lines += 1
        else:
            self._queued_bytes += _size(line)
            self._waiting.append(line)
            if not self._is_awake:
                self._is_awake = True
                self._wake.release()

    def flush(self, timeout_seconds: float = CLOSE_SECONDS) -> None:
        """Waits until everything so far is written, or the time is over."""
        end = time.monotonic() + timeout_seconds
        while self._written_bytes < self._queued_bytes and self._thread and time.monotonic() < end:
            time.sleep(GATHER_SECONDS / 2)

    def _encoded(self, line: bytes | Event) -> bytes:
        try:
            return line if isinstance(line, bytes) else self.encode(line)
        except Exception:  # the thread has the lines of all others to write as well
            self._failed_lines += 1
            return b""

    def _write_directly(self, line: bytes) -> None:
        # A reader that has not read for seconds shall not keep the process from ending.
        is_blocked = self._is_stuck and not select.select([], [self.descriptor], [], 0)[1]
        if is_blocked or not write_all(self.descriptor, line):
            self._failed_lines += 1

    def _run(self) -> None:
        reported = 0
        while not self._is_stopping:
            self._wake.acquire()
            if not self._is_stopping:
                time.sleep(GATHER_SECONDS)
            # Whoever adds a line from here on wakes the thread again, so none is forgotten.
            self._is_awake = False
            self._write_waiting()
            if reported < (dropped := self.dropped_lines) and not self._is_failing:
                logger.warning("%d log lines were lost: the reader is slow or gone", dropped - reported)
                reported = dropped

    def _write_waiting(self) -> None:
        lines: list[bytes] = []
        length = counted = 0
        while self._waiting:
            waiting = self._waiting.popleft()
            line = self._encoded(waiting)
            if self._is_shared_pipe and lines and length + len(line) > ATOMIC_BYTES:
                self._write_lines(lines)
                lines, length = [], 0
            lines.append(line)
            length += len(line)
            counted += _size(waiting)
        if lines:
            self._write_lines(lines)
        self._written_bytes += counted

    def _write_lines(self, lines: list[bytes]) -> None:
        self._is_failing = not write_all(self.descriptor, b"".join(lines))
        if self._is_failing:
            self._failed_lines += len(lines)


def _is_pipe(descriptor: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:  # a process may be started without it
        return False


def _size(line: bytes | Event) -> int:
    return len(line) if isinstance(line, bytes) else EVENT_BYTES


def write_all(descriptor: int, data: bytes) -> bool:
    """Writes all of it, waiting for the reader if need be. False if the descriptor takes nothing any more."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:  # somebody who shares the descriptor made it non-blocking
            select.select([], [descriptor], [], 1)
        except OSError:  # the reader is gone, the disk is full
            return False
    return True


stdout = LineWriter(1)
os.register_at_fork(after_in_child=stdout.forget_thread)
