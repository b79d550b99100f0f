"""The two forms of a log line: JSON for programs, text for people (LOG_FORMAT, or a terminal)."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

_JSON_OPTIONS = orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z
# JSON allows these characters, but many log readers split lines at them.
_LINE_SEPARATORS = {text.encode(): rf"\u{ord(text):04x}".encode() for text in "\x85\u2028\u2029"}

_COLOURS = {"DEBUG": 36, "INFO": 32, "WARNING": 33, "ERROR": 31, "CRITICAL": 91}
_DIM = 2
# Logged text from clients must not forge lines or control the terminal.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_CONTROL_EXCEPT_LINE_FEED = re.compile(r"(?!\n)" + _CONTROL.pattern)
# The text form shows these fields elsewhere, and no correlation id.
_PLACED = ("timestamp", "level", "message", "logger", "traceback", "stack", "correlation_id")
_REQUEST = ("method", "path", "status", "duration_ms")


def json_line(fields: Mapping[str, Any]) -> bytes:
    """Return one line of JSON. Values that JSON cannot represent become text."""
    try:
        line = orjson.dumps(fields, None, _JSON_OPTIONS)
    except TypeError:
        line = orjson.dumps(_representable(fields), None, _JSON_OPTIONS)
    for separator, escaped in _LINE_SEPARATORS.items():
        if separator in line:
            line = line.replace(separator, escaped)
    return line


def _representable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_representable(str(name)): _representable(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_representable(entry) for entry in value]
    if isinstance(value, bool | float | datetime) or value is None:
        return value
    return value if isinstance(value, int) and -(2**63) <= value < 2**64 else str(value)


def text_line(fields: Mapping[str, Any], *, has_colour: bool = False) -> bytes:
    """Return time, level, message, logger and other fields on one line, then the lines of a traceback."""
    level = str(fields["level"])
    time = fields["timestamp"].astimezone().strftime("%H:%M:%S.%f")[:-3]
    rest = {name: value for name, value in fields.items() if name not in _PLACED and value is not None}
    message = str(fields["message"])
    if all(name in rest for name in _REQUEST):
        method, path, status, duration_ms = (rest.pop(name) for name in _REQUEST)
        message = f"{method} {path} {status} {duration_ms} ms"
    pairs = " ".join(f"{name}={_quoted(value)}" for name, value in rest.items())
    details = _escape(f"  [{fields.get('logger', '')}] {pairs}").rstrip(" ")
    label = f"{level:8}"
    if has_colour:
        time, label, details = _paint(time, _DIM), _paint(label, _COLOURS.get(level, 0)), _paint(details, _DIM)
    lines = [f"{time} {label} {_escape(message)}{details}"]
    lines += [
        _CONTROL_EXCEPT_LINE_FEED.sub(_escaped, str(fields[name])) for name in ("traceback", "stack") if name in fields
    ]
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


def _paint(text: str, code: int) -> str:
    return f"\x1b[{code}m{text}\x1b[0m"


def _quoted(value: Any) -> str:
    text = str(value)
    return repr(text) if " " in text or not text else text


def _escape(text: str) -> str:
    return _CONTROL.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
