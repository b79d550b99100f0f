"""The database: threads, connections, compiled queries."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.database.pool import database

__all__ = ["database"]


def __getattr__(name: str) -> Any:
    # Settings read DB_DSN by this package's help, before they have settled where metrics are kept.
    if name == "database":
        from core.database.pool import database

        return database
    raise AttributeError(name)
