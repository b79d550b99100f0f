"""Read settings from environment variables, and report all invalid ones in one message."""

import json
import re
import sys
from collections.abc import Callable
from functools import partial
from io import StringIO
from multiprocessing import parent_process
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ

TRUE_WORDS, FALSE_WORDS = frozenset({"true", "yes", "on", "1"}), frozenset({"false", "no", "off", "0"})
REQUIRED = object()
# uvicorn.config.STARTUP_FAILURE. On any other exit code, uvicorn's supervisor restarts the worker in an endless loop.
WORKER_CANNOT_START = 3
# A host setting must be a name or an IP address: no scheme, no port, no wildcard inside a name.
_NO_HOST = re.compile(r".*[*/@\s].*|[^:]*:[^:]*|\[.*\]:.*")
_INTEGER = re.compile(r"-?[0-9]{1,30}")
# The assignments that django-environ recognizes.
_ASSIGNMENT = re.compile(r"(?:export )?[A-Za-z_0-9]+=")


class Environment:
    """The environment variables of the process, and the errors found in them.

    `ENV_FILE` may name a file of further `NAME=value` lines. Variables that are already set take precedence.
    """

    def __init__(self) -> None:
        self.errors: dict[str, str] = {}
        self._variables = environ.Env.ENVIRON
        if file := self._variables.get("ENV_FILE"):
            self._read_file(file)

    def _read_file(self, file: str) -> None:
        try:
            lines = Path(file).read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            self.refuse("ENV_FILE", f"the file {file} cannot be read: {reason}")
            return
        for number, line in enumerate(lines, start=1):
            if _ASSIGNMENT.match(line):
                environ.Env.read_env(StringIO(line))
            elif line.strip() and not line.lstrip().startswith("#"):
                # The message omits the line, because the line may contain a secret.
                self.refuse("ENV_FILE", f"line {number} of {file} is not NAME=value")

    def refuse(self, name: str, why: str) -> None:
        """Record an error. Only the first error of each setting is reported."""
        self.errors.setdefault(name, why)

    def parsed[T](self, name: str, default: Any, parse: Callable[[str], T]) -> T:
        """Return the variable, converted by `parse`. After an error, return the default or None to read on."""
        # Env.str would replace a value that starts with $ by the variable of that name.
        text = self._variables.get(name)
        if default is REQUIRED:
            default = ""
            if not text:
                self.refuse(name, "is required and not set")
        try:
            return parse(default if text is None else text)
        except ValueError as error:
            self.refuse(name, str(error))
        try:
            return parse(default)
        except ValueError:
            return None  # type: ignore[return-value]

    def text(self, name: str, default: Any = "", *, choices: tuple[str, ...] = ()) -> str:
        return self.parsed(name, default, partial(_parse_text, choices=choices))

    def integer(self, name: str, default: int, *, minimum: int = 0, maximum: int = 2**53) -> int:
        return self.parsed(name, str(default), partial(_parse_integer, minimum=minimum, maximum=maximum))

    def boolean(self, name: str, default: bool) -> bool:
        # django-environ would read an unknown word as false.
        return self.parsed(name, str(default).lower(), _parse_boolean)

    def strings(self, name: str, default: list[str], *, check: Callable[[list[str]], None] | None = None) -> list[str]:
        """Return a JSON list of strings. `check` raises ValueError for a list that is not valid."""
        return self.parsed(name, json.dumps(default), partial(_parse_strings, check=check))

    def finish(self) -> None:
        """Exit with one message for all errors, if there are any: with code 1, or 3 in one of several workers."""
        if not self.errors:
            return
        lines = "".join(f"  {name}: {why}\n" for name, why in self.errors.items())
        message = (
            f"The configuration is not valid; nothing was started.\n{lines}"
            "Settings are environment variables; docs/settings.md and env.example explain each of them."
        )
        if parent_process() is None:
            raise SystemExit(message)
        sys.stderr.write(f"{message}\n")
        raise SystemExit(WORKER_CANNOT_START)


def _parse_text(text: str, *, choices: tuple[str, ...]) -> str:
    if choices and text not in choices:
        raise ValueError(f"must be one of {', '.join(choices)}")
    return text


def _parse_integer(text: str, *, minimum: int, maximum: int) -> int:
    if not _INTEGER.fullmatch(text.strip()):
        raise ValueError("must be an integer")
    if not minimum <= (number := int(text)) <= maximum:
        raise ValueError(f"must be from {minimum} to {maximum}")
    return number


def _parse_boolean(text: str) -> bool:
    if (word := text.strip().lower()) in TRUE_WORDS | FALSE_WORDS:
        return word in TRUE_WORDS
    raise ValueError("must be true or false")


def _parse_strings(text: str, *, check: Callable[[list[str]], None] | None) -> list[str]:
    value = parse_json(text)
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise ValueError('must be a JSON list of strings, such as ["a", "b"]')
    if check is not None:
        check(value)
    return value


def check_hosts(hosts: list[str]) -> None:
    """Raise ValueError unless every entry can match a Host header."""
    if not hosts:
        raise ValueError("must contain at least one host: requests for any other host are refused")
    if any(host != "*" and _NO_HOST.fullmatch(host) for host in hosts):
        raise ValueError(
            "must contain host names without scheme and port, such as api.example, or .example for all its subdomains"
        )


def check_origins(origins: list[str]) -> None:
    """Raise ValueError unless every entry can match an Origin header. Wildcards are not allowed."""
    for origin in origins:
        if "*" in origin:
            raise ValueError("must list each origin: * would allow every page to call the API")
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.netloc or origin != f"{parts.scheme}://{parts.netloc}":
            raise ValueError("must contain origins such as https://app.example, without a path")


def parse_json(text: str) -> Any:
    """Parse JSON. Raises ValueError with a message for operators."""
    try:
        return json.loads(text)
    except ValueError:
        raise ValueError("must be JSON") from None
