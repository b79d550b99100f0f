"""The form of a log line for people: LOG_FORMAT=text, or a terminal."""

import re
from collections.abc import Mapping
from typing import Any

_COLOURS = {"DEBUG": 36, "INFO": 32, "WARNING": 33, "ERROR": 31, "CRITICAL": 91}
_DIM = 2
# Whoever can get text into a log shall not be able to forge lines or to drive the terminal.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_CONTROL_BUT_LINES = re.compile(r"(?!\n)" + _CONTROL.pattern)
_SHOWN = ("timestamp", "level", "message", "logger", "traceback", "stack", "correlation_id")
_OF_REQUEST = ("method", "path", "status", "duration_ms")


def text_line(fields: Mapping[str, Any], *, colour: bool) -> bytes:
    """One event: time, level, what happened, where, the other fields; a traceback on lines of its own."""

    def paint(text: str, code: int) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if colour else text

    level = str(fields["level"])
    time = fields["timestamp"].astimezone().strftime("%H:%M:%S.%f")[:-3]
    message = str(fields["message"])
    rest = {name: value for name, value in fields.items() if name not in _SHOWN and value is not None}
    if all(name in rest for name in _OF_REQUEST):
        method, path, status, duration = (rest.pop(name) for name in _OF_REQUEST)
        message = f"{method} {path} {status} {duration} ms"
    said = " ".join(f"{name}={_value(value)}" for name, value in rest.items())
    where = str(fields.get("logger", ""))
    line = f"{paint(time, _DIM)} {paint(f'{level:8}', _COLOURS.get(level, 0))} {_escape(message)}"
    line += paint(_escape(f"  [{where}] {said}").rstrip(" "), _DIM)
    for name in ("traceback", "stack"):
        if name in fields:
            line += "\n" + _CONTROL_BUT_LINES.sub(_escaped, str(fields[name]))
    return (line + "\n").encode("utf-8", "replace")


def _value(value: Any) -> str:
    text = str(value)
    return repr(text) if " " in text or not text else text


def _escape(text: str) -> str:
    return _CONTROL.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
