"""Searching text whatever its case, in Unicode, on both databases.

SQLite's own LIKE ignores the case of ASCII only, so each connection gets a function of Python's; PostgreSQL's
lower() knows Unicode.
"""

from __future__ import annotations

import re
from typing import Any

from django.db import models
from django.db.backends.signals import connection_created


class Folded(models.Func):
    """Text in a form in which case makes no difference."""

    function = "LOWER"
    arity = 1
    output_field = models.TextField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, function="CASEFOLD", **context)


class Like(models.Func):
    r"""`text LIKE pattern`, with a backslash before a % or _ that is meant literally."""

    arity = 2
    arg_joiner = " LIKE "
    template = "%(expressions)s ESCAPE '\\'"
    output_field = models.BooleanField()


def contains(field: str, pattern: models.expressions.Combinable) -> Like:
    """Whether a text field contains what `pattern` (see `containing`) says, in whatever case."""
    return Like(Folded(models.F(field)), Folded(pattern))


def containing(text: str) -> str:
    """The LIKE pattern for any text that contains this one, literally."""
    return "%" + re.sub(r"([\\%_])", r"\\\1", text) + "%"


def _add_functions(*, connection: Any, **_: Any) -> None:
    if connection.vendor == "sqlite":
        connection.connection.create_function("casefold", 1, str.casefold, deterministic=True)


def install() -> None:
    """Has every new connection of Django know the function."""
    connection_created.connect(_add_functions, dispatch_uid="core.database.case_folding")
