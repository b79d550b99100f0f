"""What a query may tell SQLite's planner, which has no statistics to go by."""

from typing import Any

from django.db import models


class Unindexed(models.Func):
    """A column as it is, by which SQLite does not look anything up (https://www.sqlite.org/optoverview.html#uplus).

    A list is a walk along the index of its order. Left alone, the planner would rather take a filter's index and
    then sort all that it found, however much that is. PostgreSQL knows how much, and is left alone.
    """

    arity = 1
    template = "%(expressions)s"

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="+%(expressions)s", **context)


class Unsorted(Unindexed):
    """A column by whose index neither database sorts.

    For few rows out of many: PostgreSQL would rather walk the index of the order, and hope to meet them soon.
    """

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="COALESCE(%(expressions)s, %(expressions)s)", **context)
