"""The fast path of compiled statements: past Django's cursors, straight to the driver.

Each thread that serves requests has one, unless something watches Django's cursors (tracing, DEBUG). The two
implementations are core/database/sqlite/fast_path.py and core/database/postgresql/fast_path.py.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Protocol, Self


class Result(Protocol):
    """What a statement returned, read like a cursor. Reading raises Django's database errors."""

    @property
    def rowcount(self) -> int: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...


class FastPath(Protocol):
    """Runs statements with Django's placeholders on the thread's own connection. Raises Django's database errors."""

    def execute(self, sql: str, values: Sequence[Any], *, is_planned_anew: bool = False) -> Result: ...

    def queue(self, sql: str, values: Sequence[Any]) -> None: ...


class _OfThread(threading.local):
    fast_path: FastPath | None = None


_of_thread = _OfThread()


def current_fast_path() -> FastPath | None:
    """Return the fast path of this thread, or None if its statements go through Django's cursors."""
    return _of_thread.fast_path


def set_fast_path(fast_path: FastPath | None) -> None:
    """Use this fast path for compiled statements of this thread; None means Django's cursors."""
    _of_thread.fast_path = fast_path
