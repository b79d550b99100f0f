"""The result of a check."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    OK = 0
    INFO = 1
    WARNING = 2
    ERROR = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a check. `remedy` tells the operator what to do."""

    level: Level
    message: str
    remedy: str = ""


type Check = Callable[[], Iterable[Finding]]


def ok(message: str) -> Finding:
    return Finding(Level.OK, message)


def info(message: str, remedy: str = "") -> Finding:
    return Finding(Level.INFO, message, remedy)


def warning(message: str, remedy: str) -> Finding:
    """Report a risk: the service works, but a further fault or an attack would do harm."""
    return Finding(Level.WARNING, message, remedy)


def error(message: str, remedy: str) -> Finding:
    """Report a fault: the service does not work, or may lose data."""
    return Finding(Level.ERROR, message, remedy)
