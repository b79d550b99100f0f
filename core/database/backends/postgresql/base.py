"""django-prometheus' PostgreSQL. Compiled statements bypass its cursors (core/database/postgresql/fast_path.py) and are
measured there, once a round trip."""

from django_prometheus.db.backends.postgresql import base

from core.database.metrics import CountedConnection


class DatabaseWrapper(CountedConnection, base.DatabaseWrapper):  # type: ignore[misc]
    """What DATABASES' ENGINE names."""
