"""The log writer keeps lines in order and never blocks a caller when the reader is slow."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from core.telemetry import log_writer
from core.telemetry.log_writer import ATOMIC_BYTES, LineWriter, write_all


class Pipe:
    """A pipe with a writer at one end."""

    def __init__(self, **options: int) -> None:
        self.reader, descriptor = os.pipe()
        self.writer = LineWriter(descriptor, **options)

    def read(self, count: int) -> bytes:
        """Read exactly `count` bytes."""
        got = b""
        while len(got) < count and (more := os.read(self.reader, count - len(got))):
            got += more
        return got

    def read_rest(self) -> bytes:
        """Read the bytes that are in the pipe now."""
        os.set_blocking(self.reader, False)
        got = b""
        with suppress(BlockingIOError):
            while more := os.read(self.reader, 65536):
                got += more
        os.set_blocking(self.reader, True)
        return got

    def fill(self) -> None:
        """Write until the pipe has no room left."""
        os.set_blocking(self.writer.descriptor, False)
        with suppress(BlockingIOError):
            while True:
                os.write(self.writer.descriptor, b"\n" * 4096)
        os.set_blocking(self.writer.descriptor, True)

    def close(self) -> None:
        """Stop the writer's thread, even if a write blocks it."""
        with suppress(OSError):
            os.close(self.reader)
        self.writer.close()
        for thread in threading.enumerate():
            if thread.name == "log-writer":
                thread.join()
        os.close(self.writer.descriptor)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


@pytest.fixture
def small_pipe() -> Iterator[Pipe]:
    made = Pipe(max_waiting_bytes=10_000)
    yield made
    made.close()


def numbered(count: int) -> bytes:
    return b"".join(b"%d\n" % number for number in range(count))


def test_closed_writer_writes_at_once(pipe: Pipe) -> None:
    pipe.writer.write(b"one\n")
    assert pipe.read_rest() == b"one\n"


def test_open_writer_keeps_the_order(pipe: Pipe) -> None:
    pipe.writer.open()
    for number in range(1000):
        pipe.writer.write(b"%d\n" % number)
    assert pipe.read(len(numbered(1000))) == numbered(1000)


def test_single_lines_are_written_without_further_lines(pipe: Pipe) -> None:
    pipe.writer.open()
    for number in range(5):
        pipe.writer.write(b"%d\n" % number)
        assert pipe.read(2) == b"%d\n" % number


def test_close_writes_waiting_lines(pipe: Pipe) -> None:
    pipe.writer.open()
    for number in range(100):
        pipe.writer.write(b"%d\n" % number)
    pipe.writer.close()
    pipe.writer.write(b"after\n")
    assert pipe.read_rest() == numbered(100) + b"after\n"


def test_writer_can_be_opened_and_closed_repeatedly(pipe: Pipe) -> None:
    for _ in range(300):
        pipe.writer.open()
        pipe.writer.write(b"one\n")
        pipe.writer.close()
    assert pipe.read_rest() == b"one\n" * 300


def test_flush_waits_for_the_lines(pipe: Pipe) -> None:
    pipe.writer.open()
    pipe.writer.write(b"one\n")
    pipe.writer.flush()
    assert pipe.read_rest() == b"one\n"


def test_stalled_reader_blocks_no_caller_and_memory_is_bounded(small_pipe: Pipe) -> None:
    writer = small_pipe.writer
    small_pipe.fill()
    writer.open()
    line = b"x" * 999 + b"\n"
    slowest = 0.0
    for _ in range(500):
        began = time.thread_time()
        writer.write(line)
        slowest = max(slowest, time.thread_time() - began)
    assert slowest < 0.05
    assert writer.dropped_lines > 300
    assert writer._queue.qsize() <= 12


def test_dropped_lines_are_reported_when_the_reader_recovers(
    small_pipe: Pipe, caplog: pytest.LogCaptureFixture
) -> None:
    writer = small_pipe.writer
    small_pipe.fill()
    writer.open()
    while writer.dropped_lines < 100:
        writer.write(b"x" * 999 + b"\n")
    received = b""
    with caplog.at_level("WARNING", logger=log_writer.logger.name):
        while not caplog.records:
            received += small_pipe.read_rest()
    received += small_pipe.read_rest()
    assert "100 log lines were dropped" in caplog.text
    assert set(received.split(b"\n")) == {b"x" * 999, b""}


def test_stalled_reader_does_not_delay_the_exit(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "CLOSE_SECONDS", 0.1)
    pipe.fill()
    pipe.writer.open()
    pipe.writer.write(b"one\n")
    began = time.monotonic()
    pipe.writer.flush(0.1)
    pipe.writer.close()
    pipe.writer.write(b"last words\n")
    assert time.monotonic() - began < 5
    assert pipe.writer.dropped_lines == 1


def test_closed_pipe_loses_lines_without_an_error(pipe: Pipe, caplog: pytest.LogCaptureFixture) -> None:
    pipe.writer.open()
    os.close(pipe.reader)
    pipe.writer.write(b"queued\n")
    pipe.writer.flush()
    assert pipe.writer.dropped_lines == 1
    pipe.writer.close()
    pipe.writer.write(b"direct\n")
    assert pipe.writer.dropped_lines == 2
    # A warning would be lost too, and cause another warning.
    assert not caplog.records


def test_missing_descriptor_loses_lines_without_an_error() -> None:
    reader, descriptor = os.pipe()
    os.close(reader)
    os.close(descriptor)
    writer = LineWriter(descriptor)
    writer.write(b"one\n")
    assert writer.dropped_lines == 1


def test_non_blocking_descriptor_loses_no_lines() -> None:
    reader, descriptor = os.pipe()
    os.set_blocking(descriptor, False)
    data = numbered(100_000)
    thread = threading.Thread(target=write_all, args=(descriptor, data))
    thread.start()
    got = b""
    while len(got) < len(data):
        got += os.read(reader, 65536)
    thread.join()
    os.close(reader)
    os.close(descriptor)
    assert got == data


def test_writes_are_small_enough_to_be_atomic_on_a_shared_pipe(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []

    def remember(descriptor: int, data: bytes) -> bool:
        written.append(data)
        return True

    monkeypatch.setattr(log_writer, "write_all", remember)
    pipe.writer.open()
    for _ in range(100):
        pipe.writer.write(b"x" * 299 + b"\n")
    pipe.writer.write(b"y" * 9999 + b"\n")
    pipe.writer.close()
    atomic = [piece for piece in written if len(piece) <= ATOMIC_BYTES]
    assert b"".join(written) == (b"x" * 299 + b"\n") * 100 + b"y" * 9999 + b"\n"
    assert all(piece.endswith(b"\n") for piece in written)
    assert sum(map(len, atomic)) == 30_000
    assert len(atomic) < 12


def test_forked_child_writes_directly(pipe: Pipe) -> None:
    pipe.writer.open()
    thread = pipe.writer._thread
    # `os.register_at_fork` calls this in the child, where the thread does not run.
    pipe.writer.forget_thread()
    pipe.writer.write(b"one\n")
    assert pipe.read_rest() == b"one\n"
    pipe.writer._thread = thread
