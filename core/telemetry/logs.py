"""Logs: one JSON line an event on stdout, whoever logs it; a readable form when a terminal looks.

Everything goes through the standard logging module: `configuration` is what settings.LOGGING holds. While the
service runs, `LogOutput`, first of the lifespan's resources, keeps the writing off the event loop
(core/telemetry/log_writer.py). core/telemetry/redaction.py removes secrets from every text except those of the access
line, which has no room for one.
"""

import logging
import os
import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson

from core.telemetry.log_writer import LineWriter, stdout
from core.telemetry.redaction import redact, redact_text

# What every line of the current request carries: correlation_id, request_id, trace_id and span_id.
request_fields: ContextVar[Mapping[str, str]] = ContextVar("request_fields", default={})  # noqa: B039

# A record's own attributes are not fields of its event. `request` would bring the query string along.
_OWN = {*vars(logging.makeLogRecord({})), "message", "asctime", "color_message", "access_fields", "request"}
# JSON may hold them as they are, and many a reader of lines takes them for the end of one.
_SEPARATORS = {text.encode(): rf"\u{ord(text):04x}".encode() for text in "\x85\u2028\u2029"}
_OPTIONS = orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z
# What they say below this level the access line says better, or it shows what users send.
_LEVELS = {"django.request": "ERROR", "django.db.backends": "INFO", "urllib3": "INFO"}

logger = logging.getLogger("agent_router.logging")


def configuration(level: str = "INFO", format: str = "auto") -> dict[str, Any]:  # noqa: A002
    """The value of settings.LOGGING; `format` is json, text or auto: text if stdout is a terminal.

    Replaces the handlers that uvicorn and Django have set up for their loggers. Warnings are logged too.
    """
    logging.captureWarnings(True)
    others = ("uvicorn", "uvicorn.error", "uvicorn.asgi", "django", "django.server")
    inherited = {"handlers": [], "level": "NOTSET", "propagate": True}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"stdout": {"()": "core.telemetry.logs.StdoutHandler", "format": format}},
        "root": {"handlers": ["stdout"], "level": level},
        "loggers": {
            **dict.fromkeys(others, inherited),
            # The service has its own access line. Without any handler uvicorn does not even make its own.
            "uvicorn.access": {"handlers": [], "propagate": False},
            **{name: {"level": quiet} for name, quiet in _LEVELS.items()},
        },
    }


class StdoutHandler(logging.Handler):
    """Writes each record as one line."""

    def __init__(self, format: str = "auto", writer: LineWriter = stdout) -> None:  # noqa: A002
        super().__init__()
        self.writer = writer
        is_terminal = os.isatty(writer.descriptor)
        self.is_text = format == "text" or (format == "auto" and is_terminal)
        has_colour = is_terminal and "NO_COLOR" not in os.environ
        writer.encode = _text_line(colour=has_colour) if self.is_text else json_line

    def emit(self, record: logging.LogRecord) -> None:
        """Hands the event over; a record that cannot be made into one leaves a line that says so."""
        fields = record.__dict__.get("access_fields")
        try:
            self.writer.write(fields or self.writer.encode(event_fields(record)))
        except Exception:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """The standard one would print the record's arguments to stderr, secrets and all."""
        message = "A log record could not be written"
        fields = {"timestamp": datetime.now(UTC), "level": "ERROR", "message": message, "logger": record.name}
        self.writer.write(self.writer.encode(fields))

    def flush(self) -> None:
        """Waits, not for ever, until all lines so far are written."""
        self.writer.flush()


def event_fields(record: logging.LogRecord) -> dict[str, Any]:
    """What a record says, as plain data without secrets."""
    try:
        message = record.getMessage()
    except Exception:  # arguments that do not fit the message: the caller's mistake, but the event did happen
        message = str(record.msg)
    fields: dict[str, Any] = {
        "timestamp": datetime.fromtimestamp(record.created, UTC),
        "level": record.levelname,
        "message": redact_text(message),
        "logger": record.name,
        **request_fields.get(),
    }
    for name, value in record.__dict__.items():
        if name not in _OWN and name not in fields:
            fields[name] = redact(name, value)
    if record.exc_info and record.exc_info[1] is not None:
        fields["traceback"] = redact_text(_FORMATTER.formatException(record.exc_info))
    elif record.exc_text:
        fields["traceback"] = redact_text(record.exc_text)
    if record.stack_info:
        fields["stack"] = redact_text(record.stack_info)
    return fields


def _text_line(*, colour: bool) -> Callable[[Mapping[str, Any]], bytes]:
    from core.telemetry.log_text import text_line

    return partial(text_line, colour=colour)


def json_line(fields: Mapping[str, Any]) -> bytes:
    """The fields as one line of JSON. What JSON or orjson has no form for is replaced, not refused."""
    try:
        line = orjson.dumps(fields, None, _OPTIONS)
    except TypeError:
        line = orjson.dumps(_representable(fields), None, _OPTIONS)
    for separator, escaped in _SEPARATORS.items():
        if separator in line:
            line = line.replace(separator, escaped)
    return line


def _representable(value: Any) -> Any:
    """Without unpaired surrogates and integers of more than 64 bits."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_representable(str(name)): _representable(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_representable(one) for one in value]
    if isinstance(value, bool | float | datetime) or value is None:
        return value
    return value if isinstance(value, int) and -(2**63) <= value < 2**64 else str(value)


class LogOutput:
    """The lifespan's part in it: writing off the loop; errors of threads go to the log, not to stderr."""

    async def open(self) -> None:
        """Before everything else, so that nothing that follows can block the loop by logging."""
        stdout.open()
        threading.excepthook = _log_thread_error

    async def close(self) -> None:
        """After everything else. uvicorn's last lines are written directly."""
        threading.excepthook = threading.__excepthook__
        stdout.close()


def _log_thread_error(details: threading.ExceptHookArgs) -> None:
    if details.exc_value is not None and not isinstance(details.exc_value, SystemExit):
        name = details.thread.name if details.thread else "unknown"
        error = (details.exc_type, details.exc_value, details.exc_traceback)
        logger.error("The thread %s ended by an error", name, exc_info=error)


_FORMATTER = logging.Formatter()
