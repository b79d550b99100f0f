"""The way that compiled statements of this thread take to the database: a wire of its own, or Django's cursors."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.database.postgres_wire import Wire
    from core.database.sqlite_wire import SQLiteWire


class _Here(threading.local):
    wire: Wire | SQLiteWire | None = None


_here = _Here()


def current_wire() -> Wire | SQLiteWire | None:
    """The wire of this thread, if it has one: those that serve requests do, unless somebody watches statements."""
    return _here.wire


def set_current_wire(wire: Wire | SQLiteWire | None) -> None:
    """Has compiled statements of this thread take this wire, or Django's cursors."""
    _here.wire = wire
