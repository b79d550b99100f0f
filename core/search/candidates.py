"""The rows that may contain a text, as a condition for a queryset.

On SQLite the condition names them; on PostgreSQL the planner finds the index by itself.
"""

import re
from typing import Any
from uuid import UUID

from django.db import connection, models
from django.db.models.expressions import RawSQL

from core.database.compiled import Parameter
from core.search.grams import beginning_with, matching
from core.search.tables import SearchedTable

_FOUND = {
    "terms": "SELECT rowid FROM {name}_search WHERE {name}_search MATCH %s",
    # A shorter text has no trigrams, but is the beginning of some.
    "beginning": "SELECT doc FROM {name}_search_terms WHERE term >= %s AND term <= %s",
}
_CANDIDATES = (
    "{table}.rowid IN ({found} UNION ALL SELECT docid FROM {name}_search_changed "
    "UNION ALL SELECT rowid FROM {table} WHERE rowid > (SELECT indexed FROM {name}_search_state))"
)
_COUNT = "SELECT count(*) FROM (SELECT 1 FROM ({found}) LIMIT %s)"
PARAMETERS = {"terms": ("terms",), "beginning": ("first_term", "last_term")}
# What pg_trgm makes a trigram of: letters and digits, with the ends of words that are seen.
_PG_TRIGRAM = re.compile(r"[^\W_]{3}|[^\W_]{2}[\W_]|[\W_][^\W_]")


class Candidates(RawSQL):
    """Whether the index proposes a row; what it has not indexed yet, it proposes."""

    def __init__(self, table: SearchedTable, way: str) -> None:
        sql = _CANDIDATES.replace("{found}", _FOUND[way]).format(name=table.name, table=f'"{table.name}"')
        parameters = [Parameter(name, models.TextField()) for name in PARAMETERS[way]]
        super().__init__(sql, parameters, output_field=models.BooleanField())

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        return "TRUE", ()


def way_to(text: str) -> str | None:
    """By what of the index a text is found; None if by nothing."""
    if connection.vendor != "sqlite":
        return "terms" if _PG_TRIGRAM.search(text) else None
    return "terms" if len(folded := text.casefold()) > 2 else "beginning" if folded else None


def parameters_of(way: str, text: str, owner_id: UUID | None) -> dict[str, str]:
    """The parameters of `Candidates` for a text in the rows of one owner, or of all."""
    values = (matching(text.casefold(), owner_id),) if way == "terms" else beginning_with(text.casefold())
    return dict(zip(PARAMETERS[way], values, strict=True))


def are_at_most(most: int, table: SearchedTable, way: str, parameters: dict[str, str]) -> bool:
    """Whether SQLite's index finds no more rows than that. Looks no further."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT.format(found=_FOUND[way].format(name=table.name)), (*parameters.values(), most + 1))
        [count] = cursor.fetchone()
    return bool(count <= most)
