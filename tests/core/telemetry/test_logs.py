"""Each record of any logger is one line on stdout, without secrets."""

import asyncio
import json
import logging
import logging.config
import math
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.telemetry.log_writer import LineWriter
from core.telemetry.logs import LogOutput, StdoutHandler, configuration, request_fields
from tests.running_service import PROJECT, RunningService

CANARY = "CanarySecret77"


class Output:
    """A separate logger that writes to a pipe."""

    def __init__(self, format: str) -> None:  # noqa: A002
        self.reader, descriptor = os.pipe()
        os.set_blocking(self.reader, False)
        self.handler = StdoutHandler(format, LineWriter(descriptor))
        self.logger = logging.Logger("tests.logging", logging.DEBUG)  # noqa: LOG001
        self.logger.addHandler(self.handler)

    @property
    def text(self) -> str:
        with suppress(BlockingIOError):
            return os.read(self.reader, 1 << 20).decode()
        return ""

    @property
    def line(self) -> dict[str, Any]:
        """Return the only line."""
        text = self.text
        assert text.count("\n") == 1, text
        assert text.endswith("\n")
        found: dict[str, Any] = json.loads(text)
        return found

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.handler.writer.descriptor)


@pytest.fixture
def output() -> Iterator[Output]:
    made = Output("json")
    yield made
    made.close()


@pytest.fixture
def text_output() -> Iterator[Output]:
    made = Output("text")
    yield made
    made.close()


def test_record_is_one_line_of_json(output: Output) -> None:
    output.logger.warning("it is %s\nand more", "late", extra={"minutes": 5})
    line = output.line
    moment = datetime.fromisoformat(line.pop("timestamp"))
    assert moment.utcoffset() == timedelta(0)
    assert abs(moment.timestamp() - datetime.now().astimezone().timestamp()) < 60
    assert line == {
        "level": "WARNING",
        "message": "it is late\nand more",
        "logger": "tests.logging",
        "minutes": 5,
    }


def test_every_line_of_a_request_has_its_ids(output: Output) -> None:
    token = request_fields.set({"correlation_id": "a", "request_id": "a", "trace_id": "t", "span_id": "s"})
    try:
        output.logger.info("x", extra={"request_id": "cannot be forged"})
    finally:
        request_fields.reset(token)
    line = output.line
    assert [line[name] for name in ("correlation_id", "request_id", "trace_id", "span_id")] == [
        "a",
        "a",
        "t",
        "s",
    ]


def test_traceback_is_a_field(output: Output) -> None:
    try:
        raise ValueError(f"password={CANARY}")
    except ValueError:
        output.logger.exception("It failed", stack_info=True)
    line = output.line
    assert line["message"] == "It failed"
    assert "Traceback (most recent call last)" in line["traceback"]
    assert "ValueError: password=[redacted]" in line["traceback"]
    assert "test_traceback_is_a_field" in line["stack"]
    assert CANARY not in json.dumps(line)


def test_formatted_traceback_is_kept(output: Output) -> None:
    record = logging.makeLogRecord({"msg": "x", "exc_text": f"Traceback: token={CANARY}"})
    output.handler.handle(record)
    assert output.line["traceback"] == "Traceback: token=[redacted]"


def test_secrets_are_removed_from_message_and_fields(output: Output) -> None:
    output.logger.error(
        "Bearer %s",
        CANARY,
        extra={
            "password": CANARY,
            "sent": {"api_key": CANARY, "note": f"Authorization: Basic {CANARY}=="},
            "request": f"<Request: GET '/?token={CANARY}'>",
        },
    )
    assert CANARY not in json.dumps(output.line)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("\ud800 lone", "? lone"),
        ('quote " line \n end  ', 'quote " line \n end  '),
        (2**70, str(2**70)),
        (2**64 - 1, 2**64 - 1),
        (math.inf, None),
        (b"\xff\x00", "b'\\xff\\x00'"),
        ({1: ["\udfff", -(2**70)]}, {"1": ["?", str(-(2**70))]}),
        (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        (object, "<class 'object'>"),
    ],
)
def test_any_value_becomes_valid_json(output: Output, value: object, shown: object) -> None:
    output.logger.info("x", extra={"value": value})
    assert output.line["value"] == shown


def test_message_with_a_lone_surrogate_becomes_valid_json(output: Output) -> None:
    output.logger.info("\ud800")
    assert output.line["message"] == "?"


def test_line_contains_no_line_separators(output: Output) -> None:
    odd = "a\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029b"
    output.logger.warning(odd)
    [line] = output.text.splitlines()
    assert json.loads(line)["message"] == odd


def test_record_with_wrong_arguments_is_logged(output: Output) -> None:
    output.logger.info("one %s and %s", "argument")  # noqa: PLE1206
    assert output.line["message"] == "one %s and %s"


def test_record_that_cannot_be_rendered_is_reported_without_its_content(
    output: Output, capfd: pytest.CaptureFixture[str]
) -> None:
    class Hostile:
        def __str__(self) -> str:
            raise RuntimeError(CANARY)

    output.logger.info("x", extra={"value": Hostile()})
    line = output.line
    assert line["message"] == "A log record could not be written"
    assert line["logger"] == "tests.logging"
    assert capfd.readouterr() == ("", "")


def test_level_is_respected(output: Output) -> None:
    output.logger.setLevel(logging.WARNING)
    output.logger.info("x")
    assert output.text == ""


def test_text_is_readable_and_cannot_be_forged(text_output: Output) -> None:
    text_output.logger.warning("late\x1b[2J\nINFO forged", extra={"minutes": 5, "who": "a b", "path": "/\r\n"})
    [line] = text_output.text.splitlines()
    assert "WARNING" in line
    assert "late\\x1b[2J\\nINFO forged" in line
    assert "[tests.logging] minutes=5 who='a b' path=/\\r\\n" in line
    assert "\x1b" not in line


def test_text_shows_a_traceback_on_separate_lines(text_output: Output) -> None:
    try:
        raise ValueError("\x1b[2J boom")
    except ValueError:
        text_output.logger.exception("It failed")
    first, *rest = text_output.text.splitlines()
    assert first.endswith("It failed  [tests.logging]")
    assert rest[0] == "Traceback (most recent call last):"
    assert rest[-1] == "ValueError: \\x1b[2J boom"


def test_text_of_a_request_begins_with_method_path_status_and_duration(text_output: Output) -> None:
    fields = {"method": "GET", "path": "/v1/items/", "status": 200, "duration_ms": 1.5, "user_id": None}
    text_output.logger.info("Request processed", extra=fields | {"route": "/v1/items/"})
    assert "INFO     GET /v1/items/ 200 1.5 ms  [tests.logging] route=/v1/items/\n" in text_output.text


def test_terminal_gets_coloured_text_and_a_file_json(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, other_side = os.openpty()
    monkeypatch.delenv("NO_COLOR", raising=False)
    record = logging.makeLogRecord({"msg": "hello", "levelname": "INFO", "name": "tests"})
    try:
        StdoutHandler("auto", LineWriter(other_side)).handle(record)
        assert b"\x1b[32mINFO    \x1b[0m hello" in os.read(terminal, 4096)
        monkeypatch.setenv("NO_COLOR", "1")
        StdoutHandler("auto", LineWriter(other_side)).handle(record)
        assert b"INFO     hello" in os.read(terminal, 4096)
        StdoutHandler("json", LineWriter(other_side)).handle(record)
        assert b'"message":"hello"' in os.read(terminal, 4096)
    finally:
        os.close(terminal)
        os.close(other_side)


ALL_LOGGERS = """
import logging, logging.config, sys, threading, warnings
from uvicorn.config import Config
Config("x:y", access_log=False)  # as the server does before it imports the application
from core.telemetry.logs import configuration
logging.config.dictConfig(configuration("INFO", "json"))
for name in ("uvicorn", "uvicorn.error", "django", "django.security.DisallowedHost", "asyncio", "anything"):
    logging.getLogger(name).warning("from %s", name, extra={"color_message": "no"})
logging.getLogger("django.request").warning("Not Found: /secret")
logging.getLogger("django.db.backends").debug("SELECT 'secret'")
logging.getLogger("anything").debug("too quiet")
warnings.warn("from warnings", UserWarning)
assert not logging.getLogger("uvicorn.access").hasHandlers()
"""


def test_all_loggers_write_json_to_stdout_only() -> None:
    done = subprocess.run([sys.executable, "-c", ALL_LOGGERS], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    names = ["uvicorn", "uvicorn.error", "django", "django.security.DisallowedHost", "asyncio", "anything"]
    assert [line["logger"] for line in lines] == [*names, "py.warnings"]
    assert [line["message"] for line in lines[:-1]] == [f"from {name}" for name in names]
    assert "from warnings" in lines[-1]["message"]
    assert all("color_message" not in line for line in lines)
    assert done.stderr == ""


def test_configuration_can_be_applied_twice() -> None:
    script = "import logging.config as c; from core.telemetry.logs import configuration as f; "
    script += "[c.dictConfig(f('DEBUG', 'json')) for _ in 'ab']; import logging; logging.getLogger('x').debug('y')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["message"] == "y"
    assert configuration("ERROR", "json")["root"]["level"] == "ERROR"


LAST_WORDS = """
import asyncio, logging, logging.config, sys
from core.telemetry.logs import LogOutput, configuration
logging.config.dictConfig(configuration("INFO", "json"))
asyncio.run(LogOutput().open())
logging.getLogger("x").info("last words")
sys.exit(3)
"""


def test_process_that_exits_without_closing_writes_its_last_lines() -> None:
    done = subprocess.run([sys.executable, "-c", LAST_WORDS], capture_output=True, text=True, check=False)
    assert (done.returncode, json.loads(done.stdout)["message"]) == (3, "last words")


def test_exception_of_a_thread_is_logged(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise ValueError("boom")

    try:
        asyncio.run(LogOutput().open())
        thread = threading.Thread(target=fail, name="worker-7")
        thread.start()
        thread.join()
    finally:
        asyncio.run(LogOutput().close())
    assert "An exception ended the thread worker-7" in caplog.text
    assert "ValueError: boom" in caplog.text
    assert capfd.readouterr().err == ""


def lines_of(service: RunningService) -> list[dict[str, Any]]:
    """Return all lines of stdout and stderr."""
    return [json.loads(line) for line in service.log.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_service_writes_only_json(start: Callable[..., RunningService], workers: int) -> None:
    service = start(workers=workers)
    with service.client() as client:
        names = [client.get("/nope%0a%22").headers["x-request-id"] for _ in range(20)]
    service.stop()
    lines = lines_of(service)
    assert all(isinstance(line["message"], str) and line["timestamp"] and line["level"] for line in lines)
    logged = [line["request_id"] for line in lines if line["message"] == "Request processed" and "nope" in line["path"]]
    assert sorted(logged) == sorted(names)
    messages = [line["message"] for line in lines]
    assert sum(message.startswith("Finished server process") for message in messages) == workers
    assert any(message.startswith("Stopping parent process") for message in messages) == (workers > 1)


@pytest.mark.slow
def test_service_responds_while_stdout_is_not_read(tmp_path: Path) -> None:
    service = RunningService(tmp_path)
    service.manage("migrate", "--verbosity=0")
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    command = [sys.executable, *service.command]
    with (
        subprocess.Popen(command, cwd=PROJECT, env=service.environment, stdout=writer) as process,
        service.client(transport=httpx.HTTPTransport(retries=9)) as client,
    ):
        try:
            os.close(writer)
            client.get("/health/live")
            # A pipe holds 64 KiB, some 150 lines.
            slowest = max(client.get("/health/live").elapsed for _ in range(500))
            assert slowest < timedelta(seconds=5)
            log, deadline = b"", time.monotonic() + 20
            while log.count(b"Request processed") < 501 and time.monotonic() < deadline:
                with suppress(BlockingIOError):
                    log += os.read(reader, 1 << 20)
            assert log.count(b"Request processed") == 501
            assert "log_lines_dropped_total 0.0" in client.get("/metrics").text
        finally:
            process.terminate()
            os.close(reader)
