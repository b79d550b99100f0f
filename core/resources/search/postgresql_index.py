"""The index on PostgreSQL: GIN over the trigrams of pg_trgm, which the server maintains."""

from django.db import DatabaseError

from core.resources.search.sql import ask, run
from core.resources.search.tables import SearchedTable

# In a separate schema, because `restore` renames the service's schema and creates a new one.
_EXTENSION = "CREATE SCHEMA IF NOT EXISTS extensions; CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA extensions"
_SCHEMA_OF_EXTENSION = "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'pg_trgm'"
# Above this bound a write moves the pending list into the index. tidying.py does so earlier, at PostgreSQL's default.
_LIST_KILOBYTES = 16_384
# Only the index's owner may do this, and one process at a time is enough.
_TIDY = """
    SELECT CASE
        WHEN pg_has_role(relowner, 'USAGE') AND pg_try_advisory_xact_lock(oid::bigint) THEN gin_clean_pending_list(oid)
    END
    FROM pg_class WHERE oid = to_regclass(%s)
"""
_IS_VALID = "SELECT bool_and(indisvalid) FROM pg_index WHERE indexrelid = to_regclass(%s)"


def is_whole(table: SearchedTable) -> bool:
    """Return whether the index exists and is valid."""
    return bool(ask(_IS_VALID, f"{table.name}_search"))


def has_extension() -> bool:
    return ask(_SCHEMA_OF_EXTENSION) is not None


def add_extension() -> bool:
    """Create pg_trgm. Return False if this user may not, or if the server lacks the extension."""
    try:
        run(_EXTENSION)
    except DatabaseError:
        return False
    return True


def create(table: SearchedTable) -> None:
    """Create the index without blocking writers. Must run outside a transaction. Raises Django's DatabaseError."""
    # An interrupted attempt leaves an invalid index.
    drop(table)
    schema = ask(_SCHEMA_OF_EXTENSION)
    terms = ", ".join(f'LOWER("{column}") {schema}.gin_trgm_ops' for column in table.columns)
    run(
        f'CREATE INDEX CONCURRENTLY {table.name}_search ON "{table.name}" USING gin ({terms})'
        f" WITH (gin_pending_list_limit = {_LIST_KILOBYTES})"
    )


def tidy(table: SearchedTable) -> int | None:
    """Move the pending list into the index, in a transaction. Return the list's length in pages of 8 KiB.

    Returns None if another process is doing this, or if this role may not. Raises DatabaseError after a second if
    another session has locked the index.
    """
    run("SET LOCAL lock_timeout = '1s'")
    pages: int | None = ask(_TIDY, f"{table.name}_search")
    return pages


def drop(table: SearchedTable) -> None:
    """Remove the index. The extension stays, because other tables may use it."""
    run(f"DROP INDEX CONCURRENTLY IF EXISTS {table.name}_search")
