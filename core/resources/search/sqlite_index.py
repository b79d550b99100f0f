"""The index on SQLite: FTS5, filled in the transaction that writes the rows.

Rows up to `indexed` (a rowid in the state table) are in the index. Triggers, which any program can run, record rows
that change or disappear later, with their indexed text. So the candidates of a search are the rows that the index
finds, the changed rows, and the rows after `indexed`.
"""

import sqlite3
import unicodedata
from contextlib import closing
from functools import cache
from typing import Any

from django.db import DatabaseError, connection

from core.resources.search.grams import indexed_texts
from core.resources.search.sql import ask, run
from core.resources.search.tables import SearchedTable

# The bytes of text that a batch may have per row. The cost of FTS5 grows with bytes, not with rows.
MOST_BYTES = 2_000

# SQLite has the trigram tokenizer since 3.34, but Python may be built without FTS5.
_HAS_FTS5 = "SELECT count(*) FROM pragma_module_list WHERE name = 'fts5'"

# The index stores only which trigram is in which row. It is not a contentless table, because a dump must read it.
_FTS5 = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS {name}_search USING fts5(owner_id, {columns}, content='{name}', detail=none, "
    "columnsize=0, tokenize='trigram case_sensitive 1')"
)
_UPDATE_TRIGGER = (
    "CREATE TRIGGER {name}_search_update AFTER UPDATE OF owner_id, {columns} ON {table} WHEN ({is_other}) "
    "AND old.rowid <= (SELECT indexed FROM {name}_search_state) BEGIN {note}; END"
)
_DELETE_TRIGGER = (
    "CREATE TRIGGER {name}_search_delete AFTER DELETE ON {table} "
    "WHEN old.rowid <= (SELECT indexed FROM {name}_search_state) BEGIN {note}; {step_back}; END"
)
_CREATE = (
    _FTS5,
    # The same index, read by trigram.
    "CREATE VIRTUAL TABLE IF NOT EXISTS {name}_search_terms USING fts5vocab({name}_search, instance)",
    "CREATE TABLE IF NOT EXISTS {name}_search_changed (docid INTEGER PRIMARY KEY, owner_id, {columns})",
    "CREATE TABLE IF NOT EXISTS {name}_search_state (indexed INTEGER NOT NULL, indexed_id TEXT, unicode TEXT)",
    "DROP TRIGGER IF EXISTS {name}_search_update",
    "DROP TRIGGER IF EXISTS {name}_search_delete",
    _UPDATE_TRIGGER,
    _DELETE_TRIGGER,
)
# The first change has the indexed text. OR IGNORE does not help: an outer OR REPLACE overrides it.
_NOTE = (
    "INSERT INTO {name}_search_changed SELECT old.rowid, old.owner_id, {old} "
    "WHERE NOT EXISTS (SELECT 1 FROM {name}_search_changed WHERE docid = old.rowid)"
)
# `indexed` must name an existing row, so that an inserted row that reuses a deleted row's rowid counts as not indexed.
_STEP_BACK = (
    "UPDATE {name}_search_state SET indexed = coalesce((SELECT max(rowid) FROM {table} WHERE rowid < old.rowid), 0), "
    "indexed_id = (SELECT id FROM {table} WHERE rowid < old.rowid ORDER BY rowid DESC LIMIT 1) "
    "WHERE indexed = old.rowid"
)
_EMPTY = (
    "INSERT INTO {name}_search({name}_search) VALUES ('delete-all')",
    "DELETE FROM {name}_search_changed",
    "DELETE FROM {name}_search_state",
    "INSERT INTO {name}_search_state VALUES (0, NULL, %s)",
)
_PARTS = (
    ("TRIGGER", "{name}_search_delete"),
    ("TRIGGER", "{name}_search_update"),
    ("TABLE", "{name}_search_terms"),
    ("TABLE", "{name}_search"),
    ("TABLE", "{name}_search_changed"),
    ("TABLE", "{name}_search_state"),
)
_COUNT_PARTS = "SELECT count(*) FROM sqlite_schema WHERE name IN (%s)"
# A program that restores rows under other rowids (a dump, a rebuilt table) leaves another row, or none, at `indexed`.
_IS_OF_THESE_ROWS = "indexed = 0 OR EXISTS (SELECT 1 FROM {table} WHERE rowid = indexed AND id = indexed_id)"
_IS_WHOLE = "SELECT unicode = %s AND ({is_of_these_rows}) FROM {name}_search_state"
# As bytes, because other programs may have written invalid UTF-8, and one such row must not block the rows after it.
_CHANGED = (
    "SELECT c.docid, c.owner_id, {c_bytes}, r.owner_id, {r_bytes} FROM {name}_search_changed c "
    "LEFT JOIN {table} r ON r.rowid = c.docid AND r.rowid <= (SELECT indexed FROM {name}_search_state) "
    "ORDER BY c.docid LIMIT ?"
)
# Finds no row if the index belongs to other rows. That state must stay until the indexer has seen it.
_NEW = (
    "SELECT r.rowid, r.owner_id, {r_bytes} FROM {table} r "
    "WHERE r.rowid > (SELECT indexed FROM {name}_search_state WHERE {is_of_these_rows}) ORDER BY r.rowid LIMIT ?"
)
_ADD = "INSERT INTO {name}_search(rowid, owner_id, {columns}) VALUES ({places})"
_REMOVE = "INSERT INTO {name}_search({name}_search, rowid, owner_id, {columns}) VALUES ('delete', {places})"
_MERGE = "INSERT INTO {name}_search({name}_search, rank) VALUES ('merge', ?)"
_FORGET = "DELETE FROM {name}_search_changed WHERE docid <= ?"
_SET_STATE = "UPDATE {name}_search_state SET (indexed, indexed_id) = (SELECT rowid, id FROM {table} WHERE rowid = ?)"
_BACKLOG = (
    "SELECT (SELECT coalesce(max(rowid), 0) FROM {table}) - indexed"
    " + (SELECT count(*) FROM (SELECT 1 FROM {name}_search_changed LIMIT %s)) FROM {name}_search_state"
)


class UnreadableRows(DatabaseError):
    """The rows cannot be read, so the fault is not in the index."""


def is_supported() -> bool:
    return sqlite3.sqlite_version_info >= (3, 34) and bool(ask(_HAS_FTS5))


def is_built(table: SearchedTable) -> bool:
    """Return whether a migration has created the index."""
    return bool(ask(_COUNT_PARTS % "%s", f"{table.name}_search_state"))


def is_whole(table: SearchedTable) -> bool:
    """Return whether the index is complete, belongs to these rows, and was folded by this Python's Unicode version."""
    names = [name.format(name=table.name) for _, name in _PARTS]
    if ask(_COUNT_PARTS % ", ".join(["%s"] * len(names)), *names) < len(names):
        return False
    return bool(ask(_sql(table, _IS_WHOLE), unicodedata.unidata_version))


def create(table: SearchedTable) -> None:
    """Create the missing parts and empty the index. Must run in a transaction."""
    for statement in _CREATE:
        run(_sql(table, statement))
    for statement in _EMPTY:
        run(_sql(table, statement), *([unicodedata.unidata_version] if "%s" in statement else []))


def drop(table: SearchedTable) -> None:
    for kind, name in _PARTS:
        run(f"DROP {kind} IF EXISTS {name.format(name=table.name)}")


def backlog(table: SearchedTable, *, at_most: int) -> int:
    """Return about how many rows wait to be indexed. At most `at_most` changed rows are counted."""
    return int(ask(_sql(table, _BACKLOG), at_most) or 0)


def fill(table: SearchedTable, *, batch: int) -> int:
    """Index at most `batch` waiting rows, fewer if they are long, and return their number.

    Must run in a writing transaction. Raises DatabaseError, and UnreadableRows if the rows are at fault.
    """
    # Uses the driver, because every commit calls this function and Django's cursors would cost more than the index.
    with connection.wrap_database_errors:
        sqlite: sqlite3.Connection = connection.connection
        changed, left = _first(sqlite, _sql(table, _CHANGED), batch, batch * MOST_BYTES)
        for docid, *texts in changed:
            _change(sqlite, table, docid, texts)
        if changed:
            sqlite.execute(_sql(table, _FORGET), (changed[-1][0],))
        if left <= 0:
            return len(changed)
        # Only now: a reused rowid may still be in the index with the text of the deleted row.
        new, _ = _first(sqlite, _sql(table, _NEW), batch - len(changed), left)
        if new:
            added = [(rowid, *indexed_texts(owner_id, texts)) for rowid, owner_id, *texts in new]
            sqlite.executemany(_sql(table, _ADD), added)
            sqlite.execute(_sql(table, _SET_STATE), (new[-1][0],))
    return len(changed) + len(new)


def _first(sqlite: sqlite3.Connection, sql: str, batch: int, most: int) -> tuple[list[Any], int]:
    """Return the first rows, up to `most` bytes of text, and the bytes that are left. Raises UnreadableRows."""
    taken: list[Any] = []
    try:
        with closing(sqlite.execute(sql, (batch,))) as rows:
            for row in rows:
                taken.append(row)
                most -= sum(len(text) for text in row if isinstance(text, bytes))
                if most <= 0:
                    break
    except sqlite3.Error as error:
        raise UnreadableRows(str(error)) from error
    return taken, most


def merge(table: SearchedTable, *, pages: int, all_in_one: bool = False) -> bool:
    """Merge segments, writing about `pages` pages, in a transaction. Return whether there was work to do.

    FTS5 merges four of similar size. `all_in_one` starts a merge of all, which further calls without it continue.
    """
    with connection.wrap_database_errors:
        sqlite: sqlite3.Connection = connection.connection
        before = sqlite.total_changes
        sqlite.execute(_sql(table, _MERGE), (-pages if all_in_one else pages,))
        # https://www.sqlite.org/fts5.html#the_merge_command: one change is the command itself.
        return sqlite.total_changes - before > 1


def _change(sqlite: sqlite3.Connection, table: SearchedTable, docid: int, texts: list[Any]) -> None:
    width = len(texts) // 2
    old, now = texts[:width], texts[width:]
    sqlite.execute(_sql(table, _REMOVE), (docid, *indexed_texts(old[0], old[1:])))
    if now[0] is not None:
        sqlite.execute(_sql(table, _ADD), (docid, *indexed_texts(now[0], now[1:])))


@cache
def _sql(table: SearchedTable, statement: str) -> str:
    names = [f'"{column}"' for column in table.columns]
    is_other = " OR ".join(f"old.{name} IS NOT new.{name}" for name in (*names, "owner_id"))
    fields = {
        "name": table.name,
        "table": f'"{table.name}"',
        "columns": ", ".join(names),
        "c_bytes": ", ".join(f"CAST(c.{name} AS BLOB)" for name in names),
        "r_bytes": ", ".join(f"CAST(r.{name} AS BLOB)" for name in names),
        "places": ", ".join("?" * (len(names) + 2)),
        "old": ", ".join(f"old.{name}" for name in names),
        "is_other": is_other,
    }
    parts = {"{note}": _NOTE, "{step_back}": _STEP_BACK, "{is_of_these_rows}": _IS_OF_THESE_ROWS}
    for place, part in parts.items():
        statement = statement.replace(place, part)
    return statement.format(**fields)
