"""The rows that may contain a text. On PostgreSQL the planner finds them without help."""

import re
from typing import Any
from uuid import UUID

import orjson
from django.db import connection, models
from django.db.models.expressions import RawSQL

from core.database.compiled import Parameter
from core.resources.search.grams import beginning_with, matching
from core.resources.search.tables import SearchedTable

_BY_TERMS = "SELECT rowid FROM {name}_search WHERE {name}_search MATCH %s"
# A text of one or two characters has no trigram, but some trigrams start with it.
_BY_BEGINNING = "SELECT DISTINCT doc FROM {name}_search_terms WHERE term >= %s AND term <= %s"
# One statement, so one snapshot: every row is in one of the three parts.
_CANDIDATES = (
    "SELECT * FROM ({found} UNION ALL SELECT docid FROM {name}_search_changed "
    "UNION ALL SELECT rowid FROM {table} WHERE rowid > (SELECT indexed FROM {name}_search_state)) LIMIT %s"
)
# pg_trgm builds trigrams from letters and digits, and from the start and end of words.
_PG_TRIGRAM = re.compile(r"[^\W_]{3}|[^\W_]{2}[\W_]|[\W_][^\W_]")


class IsCandidate(RawSQL):
    """Whether a row is among the parameter `candidates`. Always true on PostgreSQL."""

    def __init__(self, table: SearchedTable) -> None:
        parameter = Parameter("candidates", models.TextField())
        sql = f'"{table.name}".rowid IN (SELECT value FROM json_each(%s))'  # noqa: S608  # a name of ours
        super().__init__(sql, [parameter], output_field=models.BooleanField())

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        return "TRUE", ()


def is_indexed(text: str) -> bool:
    return bool(text if connection.vendor == "sqlite" else _PG_TRIGRAM.search(text))


def find(table: SearchedTable, text: str, owner_id: UUID | None, *, most: int) -> str | None:
    """Return SQLite's candidates for a text as a JSON list of rowids, or None if there are more than `most`."""
    folded = text.casefold()
    parameters: tuple[str, ...]
    if len(folded) > 2:
        found, parameters = _BY_TERMS, (matching(folded, owner_id),)
    else:
        found, parameters = _BY_BEGINNING, beginning_with(folded)
    sql = _CANDIDATES.replace("{found}", found).format(name=table.name, table=f'"{table.name}"')
    with connection.cursor() as cursor:
        cursor.execute(sql, (*parameters, most + 1))
        rowids = [rowid for (rowid,) in cursor.fetchall()]
    return orjson.dumps(rowids).decode() if len(rowids) <= most else None
