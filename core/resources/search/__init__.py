"""Search indexes for text in the middle of a field: trigrams in FTS5 (SQLite) or GIN (PostgreSQL).

The index proposes rows, and the query's own condition checks each of them (docs/decisions/0008-trigram-search.md).
"""
