"""Reading settings from the environment: every mistake is collected and told in one message."""

import json
import re
import sys
from collections.abc import Callable
from io import StringIO
from multiprocessing import parent_process
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ

TRUE_WORDS, FALSE_WORDS = frozenset({"true", "yes", "on", "1"}), frozenset({"false", "no", "off", "0"})
REQUIRED = object()
# By this exit code uvicorn's parent of several workers knows to end (uvicorn.config.STARTUP_FAILURE, which takes long
# to import). After any other it starts the next one, for ever.
WORKER_CANNOT_START = 3
# A wildcard within a name, a URL, a port. Addresses of IPv6 have more colons than one.
_NO_HOST = re.compile(r".*[*/@\s].*|[^:]*:[^:]*|\[.*\]:.*")
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,30}")
# A line as django-environ reads it.
_ASSIGNMENT = re.compile(r"(?:export )?[A-Za-z_0-9]+=")


class Environment:
    """The process's environment, read through django-environ, with the mistakes found in it.

    `ENV_FILE` may name a file of further `NAME=value` lines; variables that are already set win over it.
    """

    def __init__(self) -> None:
        self.mistakes: dict[str, str] = {}
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
                # Told without the line itself, which may hold a secret.
                self.refuse("ENV_FILE", f"line {number} of {file} is not NAME=value")

    def refuse(self, name: str, why: str) -> None:
        """Notes what is wrong with a setting; the first mistake of each setting is the one that is told."""
        self.mistakes.setdefault(name, why)

    def parsed[T](self, name: str, default: Any, parse: Callable[[str], T]) -> T:
        """The variable as `parse` understands it; a ValueError of `parse` becomes a mistake."""
        # Not through Env.str, which takes a value that begins with $ for the name of another variable.
        text = self._variables.get(name)
        if default is REQUIRED:
            default = ""
            if not text:
                self.refuse(name, "is required and not set")
        if text is None:
            text = default
        try:
            return parse(text)
        except ValueError as error:
            self.refuse(name, str(error))
        try:
            # Something to go on with until `finish`, so that the other mistakes are found as well.
            return parse(default)
        except ValueError:
            return None  # type: ignore[return-value]

    def text(self, name: str, default: Any = "", *, choices: tuple[str, ...] = ()) -> str:
        """The variable as it is; with `choices`, one of them."""

        def one_of_choices(text: str) -> str:
            if choices and text not in choices:
                raise ValueError(f"must be one of {', '.join(choices)}")
            return text

        return self.parsed(name, default, one_of_choices)

    def integer(self, name: str, default: int, *, minimum: int = 0, maximum: int = 2**53) -> int:
        """A whole number between `minimum` and `maximum`, both included."""

        def whole_number(text: str) -> int:
            if not _WHOLE_NUMBER.fullmatch(text.strip()):
                raise ValueError("must be a whole number")
            if not minimum <= (number := int(text)) <= maximum:
                raise ValueError(f"must be between {minimum} and {maximum}")
            return number

        return self.parsed(name, str(default), whole_number)

    def boolean(self, name: str, default: bool) -> bool:
        """True or false in any of the usual words; anything else is a mistake rather than false."""

        def yes_or_no(text: str) -> bool:
            if (word := text.strip().lower()) in TRUE_WORDS | FALSE_WORDS:
                return word in TRUE_WORDS
            raise ValueError("must be true or false")

        return self.parsed(name, str(default).lower(), yes_or_no)

    def strings(self, name: str, default: list[str], *, check: Callable[[list[str]], None] | None = None) -> list[str]:
        """A JSON list of strings; `check` raises ValueError for those that will not do."""

        def json_list(text: str) -> list[str]:
            value = parse_json(text)
            if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
                raise ValueError('must be a JSON list of strings, such as ["a", "b"]')
            if check is not None:
                check(value)
            return value

        return self.parsed(name, json.dumps(default), json_list)

    def finish(self) -> None:
        """Ends the process with exit code 1 and one message if anything was refused. One of several workers: with 3."""
        if self.mistakes:
            lines = [f"  {name}: {why}" for name, why in self.mistakes.items()]
            message = (
                "The configuration is not valid; nothing was started.\n"
                + "\n".join(lines)
                + "\nSettings are environment variables; env.example and the README explain each of them."
            )
            if parent_process() is None:
                raise SystemExit(message)
            sys.stderr.write(f"{message}\n")
            raise SystemExit(WORKER_CANNOT_START)


def check_hosts(hosts: list[str]) -> None:
    """Raises ValueError for what no Host header can match."""
    if not hosts:
        raise ValueError("must name a host: requests for any other are refused")
    if any(host != "*" and _NO_HOST.fullmatch(host) for host in hosts):
        raise ValueError("must hold names such as api.example, or .example for all below it, without scheme and port")


def check_origins(origins: list[str]) -> None:
    """Raises ValueError for what no browser sends as its Origin, and for wildcards."""
    for origin in origins:
        if "*" in origin:
            raise ValueError("must name each origin: * would let any page in")
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.netloc or origin != f"{parts.scheme}://{parts.netloc}":
            raise ValueError("must hold origins such as https://app.example, without a path")


def parse_json(text: str) -> Any:
    """JSON, or a ValueError that says so in words."""
    try:
        return json.loads(text)
    except ValueError:
        raise ValueError("must be JSON") from None
