"""django-prometheus' PostgreSQL backend, with a count of open connections."""

from django_prometheus.db.backends.postgresql import base

from core.database.metrics import CountedConnection


class DatabaseWrapper(CountedConnection, base.DatabaseWrapper):  # type: ignore[misc]
    """The backend that Django loads from this module."""
