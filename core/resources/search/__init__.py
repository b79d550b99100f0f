"""Search indexes for text in the middle of a field.

An index proposes rows and the query decides: its own condition (core/database/case_folding.py) checks every row that
the index names. A search with the index returns what a search without it returns, only sooner.

- SQLite: FTS5 over trigrams of case-folded text (sqlite_index.py). The service's writer indexes new rows at the end of
  each transaction (indexer.py). Triggers record rows that other programs change; a search checks them one by one.
- PostgreSQL: GIN over pg_trgm (postgresql_index.py). The server appends new rows to a pending list beside the index,
  and the service moves them into the index before a request has to (tidying.py).

A resource declares the searched fields (`ResourceQuerySet.searched`) and has a migration with `BuildSearchIndex`.
docs/decisions/0008-trigram-search.md gives the reasons and figures.
"""
