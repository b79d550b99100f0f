"""Removes secrets from log records: texts that look like secrets, and fields with the name of a secret."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

REDACTED = "[redacted]"
# Longer texts lose their middle, which also bounds the time of the search.
MAX_TEXT_CHARS = 16_384
MAX_PATH_CHARS = 1024
MAX_DEPTH, MAX_ENTRIES = 5, 100

_NAMES = r"pass(?:word|wd|phrase)|secret|token|api[_-]?key|private[_-]?key|credential|sessionid"
_SECRET_NAME = re.compile(rf"{_NAMES}|authorization|cookie|dsn", re.IGNORECASE)

# Each alternative has a fixed start and repeats only one class of characters, so the search takes linear time.
_SECRET = re.compile(
    rf"""
    (?P<pem> -----BEGIN\ [A-Z ]{{0,40}}PRIVATE\ KEY----- ) .*?(?:-----END|\Z)
    | (?P<header> (?i:authorization|cookie)["'\\]*\s{{0,3}}[:=]\s{{0,3}} ) [^\r\n]+
    | (?P<name> (?i:{_NAMES})[\w-]{{0,40}}["'\\]*\s{{0,3}}[:=]\s{{0,3}} )
      (?i: (?:bearer|basic)\s{{1,3}} )?
      (?: b?\\*"(?:\\.|[^"\\])*"? | b?\\*'(?:\\.|[^'\\])*'? | [^\s,;&)}}\]]+ )
    | (?P<scheme> \b(?i:bearer|basic)\s{{1,3}} ) [\w.~+/=-]{{6,}}
    | (?P<key> \bar_[A-Za-z0-9]+_ ) [\w-]+
    | \beyJ[\w-]{{5,}}\.[\w-]+(?:\.[\w-]*)?
    | (?P<userinfo> :// ) [^/\s@"':]*:[^/\s]*@
    | (?P<input> \binput_value= ) [^\r\n]*?(?=,\ input_type=|\r|\n|\Z)
    | (?P<row> \bFailing\ row\ contains\  ) [^\r\n]*
    # An opaque token: at least 40 characters, with letters of both cases and digits.
    | (?<![\w-]) (?=[\w-]*[a-z]) (?=[\w-]*[A-Z]) (?=[\w-]*[0-9]) [\w-]{{40,}}
    """,
    re.VERBOSE | re.DOTALL,
)
_hidden: set[str] = set()


def hide(values: Iterable[str]) -> None:
    """Remove these texts from all later log lines: the service's own keys and passwords."""
    # A shorter value would match ordinary words.
    _hidden.update(value for value in values if len(value) >= 8)


def redact_text(text: str) -> str:
    if len(text) > MAX_TEXT_CHARS:
        half = MAX_TEXT_CHARS // 2
        text = f"{text[:half]} … {len(text) - 2 * half} characters left out … {text[-half:]}"
    for value in _hidden:
        if value in text:
            text = text.replace(value, REDACTED)
    return _SECRET.sub(_redacted, text)


def _redacted(found: re.Match[str]) -> str:
    # A named group introduces the secret.
    return (found[found.lastgroup] if found.lastgroup else "") + REDACTED


def redact_path(path: str, template: str | None) -> str:
    """Return a request's path without secrets. Skips the search if the path has only room for an id."""
    if template and len(path) - len(template) < 40 and "=" not in path and "ar_" not in path:
        return path
    return redact_text(path[:MAX_PATH_CHARS])


def redact(name: str, value: Any, depth: int = 0) -> Any:
    """Return a field's value as plain JSON data without secrets. `name` may mark the whole value as secret."""
    if isinstance(value, bool | int | float) or value is None:
        return value
    if _SECRET_NAME.search(name):
        return REDACTED
    if isinstance(value, str):
        return redact_text(value)
    if depth < MAX_DEPTH:
        if isinstance(value, Mapping):
            pairs = list(value.items())[:MAX_ENTRIES]
            return {str(key): redact(str(key), entry, depth + 1) for key, entry in pairs}
        # The repr of a named tuple hides its own secrets.
        if isinstance(value, list | tuple | set | frozenset) and not hasattr(value, "_fields"):
            return [redact(name, entry, depth + 1) for entry in list(value)[:MAX_ENTRIES]]
    return redact_text(str(value))
