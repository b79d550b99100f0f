"""Lines are written in order, and nobody waits for whoever reads them."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from core.telemetry import log_writer
from core.telemetry.log_writer import ATOMIC_BYTES, LineWriter, write_all


class Pipe:
    """A pipe and a writer on it."""

    def __init__(self, **options: int) -> None:
        self.reader, descriptor = os.pipe()
        self.writer = LineWriter(descriptor, **options)

    def read(self, count: int) -> bytes:
        """The next bytes, as many as asked for."""
        got = b""
        while len(got) < count and (more := os.read(self.reader, count - len(got))):
            got += more
        return got

    def read_rest(self) -> bytes:
        """Whatever is in the pipe now."""
        os.set_blocking(self.reader, False)
        got = b""
        with suppress(BlockingIOError):
            while more := os.read(self.reader, 65536):
                got += more
        os.set_blocking(self.reader, True)
        return got

    def fill(self) -> None:
        """Leaves no room in the pipe."""
        os.set_blocking(self.writer.descriptor, False)
        with suppress(BlockingIOError):
            while True:
                os.write(self.writer.descriptor, b"\n" * 4096)
        os.set_blocking(self.writer.descriptor, True)

    def close(self) -> None:
        """Ends the writer's thread, wherever it is."""
        with suppress(OSError):
            os.close(self.reader)
        self.writer.close()
        for thread in threading.enumerate():
            if thread.name == "log-writer":
                thread.join()
        os.close(self.writer.descriptor)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    one = Pipe()
    yield one
    one.close()


@pytest.fixture
def small_pipe() -> Iterator[Pipe]:
    one = Pipe(max_waiting_bytes=10_000)
    yield one
    one.close()


def numbered(count: int) -> bytes:
    return b"".join(b"%d\n" % number for number in range(count))


def test_before_it_is_opened_a_line_is_written_at_once(pipe: Pipe) -> None:
    pipe.writer.write(b"one\n")
    assert pipe.read_rest() == b"one\n"


def test_open_writer_keeps_the_order(pipe: Pipe) -> None:
    pipe.writer.open()
    for number in range(1000):
        pipe.writer.write(b"%d\n" % number)
    assert pipe.read(len(numbered(1000))) == numbered(1000)


def test_events_are_encoded_in_the_order_of_lines(pipe: Pipe) -> None:
    pipe.writer.encode = lambda event: f"event {event['number']}\n".encode()
    pipe.writer.open()
    pipe.writer.write({"number": 1})
    pipe.writer.write(b"line\n")
    pipe.writer.write({"number": 2})
    pipe.writer.close()
    pipe.writer.write({"number": 3})
    assert pipe.read_rest() == b"event 1\nline\nevent 2\nevent 3\n"


def test_event_that_cannot_be_encoded_takes_no_other_with_it(pipe: Pipe) -> None:
    pipe.writer.encode = lambda event: f"event {event['number']}\n".encode()
    pipe.writer.open()
    pipe.writer.write({})
    pipe.writer.write({"number": 2})
    assert pipe.read(8) == b"event 2\n"
    assert pipe.writer.dropped_lines == 1


def test_lines_of_several_moments_all_come(pipe: Pipe) -> None:
    pipe.writer.open()
    for number in range(5):
        pipe.writer.write(b"%d\n" % number)
        assert pipe.read(2) == b"%d\n" % number


def test_closing_writes_what_waits(pipe: Pipe) -> None:
    pipe.writer.open()
    for number in range(100):
        pipe.writer.write(b"%d\n" % number)
    pipe.writer.close()
    pipe.writer.write(b"after\n")
    assert pipe.read_rest() == numbered(100) + b"after\n"


def test_writer_may_be_opened_and_closed_at_any_moment(pipe: Pipe) -> None:
    for _ in range(300):
        pipe.writer.open()
        pipe.writer.write(b"one\n")
        pipe.writer.close()
    assert pipe.read_rest() == b"one\n" * 300


def test_flushing_waits_for_the_lines(pipe: Pipe) -> None:
    pipe.writer.open()
    pipe.writer.write(b"one\n")
    pipe.writer.flush()
    assert pipe.read_rest() == b"one\n"


def test_reader_that_does_not_read_blocks_nobody(small_pipe: Pipe) -> None:
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
    assert len(writer._waiting) <= 12


def test_what_was_dropped_is_told_once_the_reader_is_back(small_pipe: Pipe, caplog: pytest.LogCaptureFixture) -> None:
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
    assert "100 log lines were lost" in caplog.text
    assert set(received.split(b"\n")) == {b"x" * 999, b""}


def test_stuck_reader_does_not_keep_the_process_from_ending(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_reader_that_is_gone_is_borne(pipe: Pipe, caplog: pytest.LogCaptureFixture) -> None:
    pipe.writer.open()
    os.close(pipe.reader)
    pipe.writer.write(b"nobody reads this\n")
    pipe.writer.flush()
    assert pipe.writer.dropped_lines == 1
    pipe.writer.close()
    pipe.writer.write(b"nor this\n")
    assert pipe.writer.dropped_lines == 2
    # Telling of it would be lost as well, and told of again, without end.
    assert not caplog.records


def test_missing_descriptor_is_borne() -> None:
    reader, descriptor = os.pipe()
    os.close(reader)
    os.close(descriptor)
    writer = LineWriter(descriptor)
    writer.write(b"one\n")
    assert writer.dropped_lines == 1


def test_descriptor_that_somebody_made_non_blocking_loses_nothing() -> None:
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


def test_workers_that_share_a_pipe_do_not_tear_lines_apart(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    monkeypatch.setattr(log_writer, "parent_process", object)

    def remember(descriptor: int, data: bytes) -> bool:
        written.append(data)
        return True

    monkeypatch.setattr(log_writer, "write_all", remember)
    pipe.writer.open()
    for _ in range(100):
        pipe.writer.write(b"x" * 299 + b"\n")
    pipe.writer.write(b"y" * 9999 + b"\n")
    pipe.writer.close()
    whole = [piece for piece in written if len(piece) <= ATOMIC_BYTES]
    assert b"".join(written) == (b"x" * 299 + b"\n") * 100 + b"y" * 9999 + b"\n"
    assert all(piece.endswith(b"\n") for piece in written)
    assert sum(map(len, whole)) == 30_000
    assert len(whole) < 12


def test_forked_child_writes_directly(pipe: Pipe) -> None:
    pipe.writer.open()
    thread = pipe.writer._thread
    # What `os.register_at_fork` calls in the child, where no thread runs.
    pipe.writer.forget_thread()
    pipe.writer.write(b"one\n")
    assert pipe.read_rest() == b"one\n"
    pipe.writer._thread = thread
