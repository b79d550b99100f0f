"""The database: threads, connections, compiled queries."""

from core.database.pool import database

__all__ = ["database"]
