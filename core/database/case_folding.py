"""Case-insensitive search in Unicode text, on both databases.

SQLite's LIKE ignores the case of ASCII letters only, so each connection gets a Python function; PostgreSQL's lower()
knows Unicode.
"""

from __future__ import annotations

import re
from typing import Any

from django.db import models
from django.db.backends.signals import connection_created


class Folded(models.Func):
    """Text without its case."""

    function = "LOWER"
    arity = 1
    output_field = models.TextField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, function="CASEFOLD", **context)


class Like(models.Func):
    r"""`text LIKE pattern`, with a backslash before a literal % or _."""

    arity = 2
    arg_joiner = " LIKE "
    template = "%(expressions)s ESCAPE '\\'"
    output_field = models.BooleanField()


def contains(field: str, pattern: models.expressions.Combinable) -> Like:
    """Match a text field against a pattern from `containing`, ignoring case."""
    return Like(Folded(models.F(field)), Folded(pattern))


def containing(text: str) -> str:
    """Return the LIKE pattern of texts that contain this literal text."""
    return "%" + re.sub(r"([\\%_])", r"\\\1", text) + "%"


def _add_functions(*, connection: Any, **_: Any) -> None:
    if connection.vendor == "sqlite":
        connection.connection.create_function("casefold", 1, str.casefold, deterministic=True)


def install() -> None:
    """Add the function to every new connection of Django."""
    connection_created.connect(_add_functions, dispatch_uid="core.database.case_folding")
