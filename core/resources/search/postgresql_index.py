"""The index on PostgreSQL: GIN over the trigrams of pg_trgm, which the server keeps with each row."""

from django.db import DatabaseError, connection

from core.resources.search.tables import SearchedTable

# In a schema of its own: `restore` puts the service's aside, and makes another of its name.
_EXTENSION = "CREATE SCHEMA IF NOT EXISTS extensions; CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA extensions"
_SCHEMA_OF_EXTENSION = "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'pg_trgm'"
# The write that makes the list longer than this puts all of it into the index. Four times PostgreSQL's own bound, so
# that tidying.py, which keeps the list as short as that one, comes first.
_LIST_KILOBYTES = 16_384
# Only the index's owner may, and one at a time is enough.
_TIDY = """
    SELECT CASE
        WHEN pg_has_role(relowner, 'USAGE') AND pg_try_advisory_xact_lock(oid::bigint) THEN gin_clean_pending_list(oid)
    END
    FROM pg_class WHERE oid = to_regclass(%s)
"""
_IS_VALID = "SELECT bool_and(indisvalid) FROM pg_index WHERE indexrelid = to_regclass(%s)"


def is_whole(table: SearchedTable) -> bool:
    """Whether the index is there, and complete."""
    with connection.cursor() as cursor:
        cursor.execute(_IS_VALID, (f"{table.name}_search",))
        [is_valid] = cursor.fetchone()
    return bool(is_valid)


def has_extension() -> bool:
    """Whether the database has pg_trgm."""
    return _schema() is not None


def _schema() -> str | None:
    with connection.cursor() as cursor:
        cursor.execute(_SCHEMA_OF_EXTENSION)
        row = cursor.fetchone()
    return None if row is None else str(row[0])


def add_extension() -> bool:
    """Gives the database pg_trgm. False if this user may not, or the server does not have it."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(_EXTENSION)
    except DatabaseError:
        return False
    return True


def create(table: SearchedTable) -> None:
    """Makes the index while others go on to write. Outside of transactions. Raises Django's DatabaseError."""
    # What an attempt that broke off has left behind is of no use.
    drop(table)
    terms = ", ".join(f'LOWER("{column}") {_schema()}.gin_trgm_ops' for column in table.columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f'CREATE INDEX CONCURRENTLY {table.name}_search ON "{table.name}" USING gin ({terms})'
            f" WITH (gin_pending_list_limit = {_LIST_KILOBYTES})"
        )


def tidy(table: SearchedTable) -> int | None:
    """Moves what was written lately from the list beside the index into it. In a transaction.

    Returns how many pages of 8 KiB the list had; None if another process is at it, or this role may not. Raises
    Django's DatabaseError, soon if somebody else holds the index.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '1s'")
        cursor.execute(_TIDY, (f"{table.name}_search",))
        row = cursor.fetchone()
    return None if row is None else row[0]


def drop(table: SearchedTable) -> None:
    """Removes the index, not the extension: others may use it."""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {table.name}_search")
