"""The fast path of compiled statements, from a thread straight to the driver, unless tracing or DEBUG watches cursors.

docs/decisions/0006-database-fast-paths.md
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Protocol, Self


class Result(Protocol):
    """The result of a statement, read like a cursor. Reading raises Django's database errors."""

    @property
    def rowcount(self) -> int: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...


class FastPath(Protocol):
    """Runs statements with Django's placeholders on the thread's own connection. Raises Django's database errors."""

    def execute(self, sql: str, values: Sequence[Any], *, force_custom_plan: bool = False) -> Result: ...
    def queue(self, sql: str, values: Sequence[Any]) -> None: ...


class _ThreadState(threading.local):
    fast_path: FastPath | None = None


_state = _ThreadState()


def current_fast_path() -> FastPath | None:
    """Return the fast path of this thread, or None if its statements go through Django's cursors."""
    return _state.fast_path


def set_fast_path(fast_path: FastPath | None) -> None:
    _state.fast_path = fast_path
