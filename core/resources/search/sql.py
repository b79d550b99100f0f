"""Single statements on this thread's connection."""

from typing import Any

from django.db import connection


def run(sql: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)


def ask(sql: str, *parameters: Any) -> Any:
    """Return the first column of the first row, or None if there is no row."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        row = cursor.fetchone()
    return None if row is None else row[0]
