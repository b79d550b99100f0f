"""Keeps secrets out of logs: what looks like one in a text, and what has the name of one in a field."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

REDACTED = "[redacted]"
# Longer texts lose their middle; that also bounds the time that the search takes.
MAX_TEXT_CHARS = 16_384
MAX_PATH_CHARS = 1024
MAX_DEPTH, MAX_ENTRIES = 5, 100

_NAMES = r"pass(?:word|wd|phrase)|secret|token|api[_-]?key|private[_-]?key|credential|sessionid"
_SECRET_NAME = re.compile(rf"{_NAMES}|authorization|cookie|dsn", re.IGNORECASE)

# Each alternative begins with something fixed or at the start of a word, and what repeats in it is one class
# of characters: whatever the text, the search takes time in proportion to its length.
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
    # Letters of both cases and digits, forty and more of them: an opaque token of any kind.
    | (?<![\w-]) (?=[\w-]*[a-z]) (?=[\w-]*[A-Z]) (?=[\w-]*[0-9]) [\w-]{{40,}}
    """,
    re.VERBOSE | re.DOTALL,
)
_hidden: set[str] = set()


def hide(values: Iterable[str]) -> None:
    """Has these very texts left out of every log line from now on: the service's own keys and passwords."""
    # A shorter one would be found in ordinary words.
    _hidden.update(value for value in values if len(value) >= 8)


def redact_text(text: str) -> str:
    """The text without anything that looks like a token, key or password."""
    if len(text) > MAX_TEXT_CHARS:
        half = MAX_TEXT_CHARS // 2
        text = f"{text[:half]} … {len(text) - 2 * half} characters left out … {text[-half:]}"
    for value in _hidden:
        if value in text:
            text = text.replace(value, REDACTED)
    return _SECRET.sub(lambda found: (found[found.lastgroup] if found.lastgroup else "") + REDACTED, text)


def redact_path(path: str, template: str | None) -> str:
    """A request's path for the log. Quick if its route leaves no more open than an identifier takes."""
    if template and len(path) - len(template) < 40 and "=" not in path and "ar_" not in path:
        return path
    return redact_text(path[:MAX_PATH_CHARS])


def redact(name: str, value: Any, depth: int = 0) -> Any:
    """A field's value as plain JSON data: left out if the name says so, else without what looks secret."""
    if isinstance(value, bool | int | float) or value is None:
        return value
    if _SECRET_NAME.search(name):
        return REDACTED
    if isinstance(value, str):
        return redact_text(value)
    if depth < MAX_DEPTH:
        if isinstance(value, Mapping):
            pairs = list(value.items())[:MAX_ENTRIES]
            return {str(key): redact(str(key), one, depth + 1) for key, one in pairs}
        # A tuple with names says itself what may be seen of it.
        if isinstance(value, list | tuple | set | frozenset) and not hasattr(value, "_fields"):
            return [redact(name, one, depth + 1) for one in list(value)[:MAX_ENTRIES]]
    return redact_text(str(value))
