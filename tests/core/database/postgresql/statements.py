"""Statements for tests, on the fast path and on Django's cursors."""

from typing import Any

from django.contrib.auth.models import Group
from django.db import connection

from core.database.fast_path import current_fast_path
from core.database.postgresql.fast_path import PostgresFastPath, PostgresResult

INSERT = "INSERT INTO auth_group (name) VALUES (%s)"
FIND = "SELECT id, name FROM auth_group WHERE name = %s"


def execute(statement: str, *values: Any) -> PostgresResult:
    """Run a statement on this thread's fast path."""
    fast_path = current_fast_path()
    assert isinstance(fast_path, PostgresFastPath)
    return fast_path.execute(statement, values)


def queue(statement: str, *values: Any) -> None:
    """Queue a statement on this thread's fast path."""
    fast_path = current_fast_path()
    assert fast_path is not None
    fast_path.queue(statement, values)


def ask(statement: str) -> Any:
    """Run a query on Django's cursor and return its first value."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone()
    return row and row[0]


def names() -> list[str]:
    """Return the stored names, through the ORM."""
    return list(Group.objects.order_by("id").values_list("name", flat=True))
