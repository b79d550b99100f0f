"""Wait for a condition, as long as necessary and with a limit."""

import time
from collections.abc import Callable

# Long enough for a busy machine.
PATIENCE_SECONDS = 60.0


def comes_true(condition: Callable[[], object], within_seconds: float) -> bool:
    """Return whether the condition holds within a promised time. Check it at least twice."""
    deadline = time.monotonic() + within_seconds
    while not condition():
        if time.monotonic() > deadline:
            return bool(condition())
        time.sleep(0.01)
    return True


def await_true(condition: Callable[[], object], message: str = "the condition is still false") -> None:
    """Return as soon as the condition holds. Fail with the message if it does not hold in time."""
    assert comes_true(condition, PATIENCE_SECONDS), message
