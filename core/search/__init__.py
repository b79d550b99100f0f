"""Indexes for text in the middle of a field: which rows may contain it, out of all.

An index proposes, the query decides: its own condition (core/database/search.py) is held against every row that the
index names, so an answer with the index is the answer without it, only sooner.

- SQLite: FTS5 over trigrams of folded text (sqlite_index.py). Creating a row costs nothing: what comes after the last
  indexed row is looked at as it is, until a task (indexer.py) has indexed it, some hundred rows at once. Triggers
  note the indexed rows that change, in the transaction that changes them, whoever does that.
- PostgreSQL: GIN over pg_trgm (postgresql_index.py), which the server keeps by itself.

A resource declares what is searched (`ResourceQuerySet.searched`) and has a migration with `BuildSearchIndex`.
"""
