"""What a check finds."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """How much it matters. An error is what the service does not work with, or loses data by."""

    OK = 0
    INFO = 1
    WARNING = 2
    ERROR = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `remedy` says how to mend it."""

    level: Level
    message: str
    remedy: str = ""


type Check = Callable[[], Iterable[Finding]]


def ok(message: str) -> Finding:
    """It is as it should be."""
    return Finding(Level.OK, message)


def info(message: str, remedy: str = "") -> Finding:
    """Nothing is wrong, but whoever runs the service should know."""
    return Finding(Level.INFO, message, remedy)


def warning(message: str, remedy: str) -> Finding:
    """It works, until something else goes wrong or somebody takes advantage of it."""
    return Finding(Level.WARNING, message, remedy)


def error(message: str, remedy: str) -> Finding:
    """It does not work, or loses data."""
    return Finding(Level.ERROR, message, remedy)
