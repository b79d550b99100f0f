"""Waiting for what a test has caused: no longer than it takes, and not for ever."""

import time
from collections.abc import Callable

# For a machine that is busy with other things.
PATIENCE_SECONDS = 60.0


def comes_true(condition: Callable[[], object], within_seconds: float) -> bool:
    """Whether a condition holds within a time that is promised. Looks at least twice."""
    deadline = time.monotonic() + within_seconds
    while not condition():
        if time.monotonic() > deadline:
            return bool(condition())
        time.sleep(0.01)
    return True


def await_true(condition: Callable[[], object], otherwise: str = "it does not come true") -> None:
    """Returns when the condition holds; fails, with what is then the case, if it never does."""
    assert comes_true(condition, PATIENCE_SECONDS), otherwise
