"""Logging: each record becomes one line on stdout, without secrets.

`configuration` is settings.LOGGING. Records of the access log have `access_fields`: all fields, free of secrets.
"""

import logging
import os
import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from typing import Any

from core.telemetry.log_format import json_line, text_line
from core.telemetry.log_writer import LineWriter, stdout
from core.telemetry.redaction import redact, redact_text

# Fields on every line of the current request: correlation_id, request_id, trace_id and span_id.
request_fields: ContextVar[Mapping[str, str]] = ContextVar("request_fields", default={})  # noqa: B039

# Attributes of a record that are no fields. `request` would show the query string.
_NOT_FIELDS = {*vars(logging.makeLogRecord({})), "message", "asctime", "color_message", "access_fields", "request"}
# Below these levels, records repeat the access log or contain data of users.
_LEVELS = {"django.request": "ERROR", "django.db.backends": "INFO", "urllib3": "INFO"}
_FORMATTER = logging.Formatter()

logger = logging.getLogger("agent_router.logging")


def configuration(level: str = "INFO", format: str = "auto") -> dict[str, Any]:  # noqa: A002
    """Return the value of settings.LOGGING. `format` is json, text or auto, which is text on a terminal."""
    logging.captureWarnings(True)
    others = ("uvicorn", "uvicorn.error", "uvicorn.asgi", "django", "django.server")
    # Replaces the handlers that uvicorn and Django set up.
    inherited = {"handlers": [], "level": "NOTSET", "propagate": True}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"stdout": {"()": "core.telemetry.logs.StdoutHandler", "format": format}},
        "root": {"handlers": ["stdout"], "level": level},
        "loggers": {
            **dict.fromkeys(others, inherited),
            # The service has its own access log. Without a handler, uvicorn skips its access log entirely.
            "uvicorn.access": {"handlers": [], "propagate": False},
            **{name: {"level": minimum} for name, minimum in _LEVELS.items()},
        },
    }


class StdoutHandler(logging.Handler):
    def __init__(self, format: str = "auto", writer: LineWriter = stdout) -> None:  # noqa: A002
        super().__init__()
        self.writer = writer
        is_terminal = os.isatty(writer.descriptor)
        is_text = format == "text" or (format == "auto" and is_terminal)
        has_colour = is_terminal and "NO_COLOR" not in os.environ
        self.render: Callable[[Mapping[str, Any]], bytes] = (
            partial(text_line, has_colour=has_colour) if is_text else json_line
        )

    def emit(self, record: logging.LogRecord) -> None:
        try:
            fields = record.__dict__.get("access_fields") or event_fields(record)
            self.writer.write(self.render(fields))
        except Exception:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        # The standard method would print the arguments, secrets included.
        message = "A log record could not be written"
        fields = {"timestamp": datetime.now(UTC), "level": "ERROR", "message": message, "logger": record.name}
        self.writer.write(self.render(fields))

    def flush(self) -> None:
        self.writer.flush()


def event_fields(record: logging.LogRecord) -> dict[str, Any]:
    try:
        message = record.getMessage()
    except Exception:  # the arguments do not fit the message
        message = str(record.msg)
    fields: dict[str, Any] = {
        "timestamp": datetime.fromtimestamp(record.created, UTC),
        "level": record.levelname,
        "message": redact_text(message),
        "logger": record.name,
        **request_fields.get(),
    }
    for name, value in record.__dict__.items():
        if name not in _NOT_FIELDS and name not in fields:
            fields[name] = redact(name, value)
    if record.exc_info and record.exc_info[1] is not None:
        fields["traceback"] = redact_text(_FORMATTER.formatException(record.exc_info))
    elif record.exc_text:
        fields["traceback"] = redact_text(record.exc_text)
    if record.stack_info:
        fields["stack"] = redact_text(record.stack_info)
    return fields


class LogOutput:
    """Writes logs from a thread. Opens first and closes last, so that no log line blocks the event loop."""

    async def open(self) -> None:
        stdout.open()
        threading.excepthook = _log_thread_error

    async def close(self) -> None:
        threading.excepthook = threading.__excepthook__
        stdout.close()


def _log_thread_error(details: threading.ExceptHookArgs) -> None:
    if details.exc_value is not None and not isinstance(details.exc_value, SystemExit):
        name = details.thread.name if details.thread else "unknown"
        error = (details.exc_type, details.exc_value, details.exc_traceback)
        logger.error("An exception ended the thread %s", name, exc_info=error)
