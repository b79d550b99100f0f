"""Metrics of the database: django-prometheus' metrics under their own names, and a few more."""

from collections.abc import Callable
from functools import cache
from time import perf_counter
from typing import Any

from django_prometheus.db import errors_total, execute_total, query_duration_seconds
from prometheus_client import Counter, Gauge, Histogram

CONNECTIONS = Gauge("db_connections", "Open connections to the database", multiprocess_mode="livesum")
POOL_SIZE = Gauge("db_pool_size", "Threads that keep a database connection each", multiprocess_mode="livesum")
POOL_JOBS = Gauge("db_pool_jobs", "Database jobs that wait or run", multiprocess_mode="livesum")
POOL_WAIT = Histogram(
    "db_pool_wait_seconds",
    "How long a database job waited for a thread and its connection",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


class Statements:
    """Counts and times the statements of one database."""

    def __init__(self, alias: str, vendor: str) -> None:
        self._seconds = query_duration_seconds.labels(alias, vendor)
        self._count: Counter = execute_total.labels(alias, vendor)
        self._labels = alias, vendor

    def measure[T](self, run: Callable[..., T], *args: Any, count: int = 1) -> T:
        """Return `run(*args)`, measured as one round trip with `count` statements."""
        began = perf_counter()
        try:
            return run(*args)
        except Exception as error:
            errors_total.labels(*self._labels, type(error).__name__).inc()
            raise
        finally:
            self._seconds.observe(perf_counter() - began)
            self._count.inc(count)


@cache
def statements(alias: str, vendor: str) -> Statements:
    """Return the metrics of one database, with their labels looked up."""
    return Statements(alias, vendor)


class CountedConnection:
    """A mixin for Django's backends that counts open connections."""

    connection: Any

    def get_new_connection(self, *args: Any, **options: Any) -> Any:
        new_connection = super().get_new_connection(*args, **options)  # type: ignore[misc]
        CONNECTIONS.inc()
        return new_connection

    def _close(self) -> None:
        if self.connection is not None:
            CONNECTIONS.dec()
        super()._close()  # type: ignore[misc]
