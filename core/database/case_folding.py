"""Case-insensitive search in Unicode text. SQLite folds ASCII only, so its connections get a Python function."""

from __future__ import annotations

import re
from typing import Any

from django.db import models
from django.db.backends.signals import connection_created


class Folded(models.Func):
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
    connection_created.connect(_add_functions, dispatch_uid="core.database.case_folding")
