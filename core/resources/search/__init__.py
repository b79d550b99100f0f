"""Indexes for text in the middle of a field: which rows may contain it, out of all.

An index proposes, the query decides: its own condition (core/database/case_folding.py) checks every row that the
index names, so an answer with the index is the answer without it, only sooner.

- SQLite: FTS5 over trigrams of folded text (sqlite_index.py). The service's writer indexes what it wrote at the end of
  each transaction (indexer.py). Whoever else writes, new rows are known by their rowid and changed ones are noted by
  triggers, in that transaction: a search looks at them one by one until they are indexed, with the next or all alone.
- PostgreSQL: GIN over pg_trgm (postgresql_index.py), which the server keeps with each row: in a list beside the index
  first, which the service has put away before a request would have to (tidying.py).

A resource declares what is searched (`ResourceQuerySet.searched`) and has a migration with `BuildSearchIndex`.
"""
