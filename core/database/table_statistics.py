"""What PostgreSQL's planner knows of the tables.

Of a table without statistics it takes few rows to be each user's: lists then read all of them and sort, where they
should walk along an index. So it is after an import, or an upgrade of the server, until autovacuum comes by, a minute
later or more.
"""

import logging

from django.apps import apps
from django.db import connection

from core.database.pool import database
from core.http.problems import ServiceUnavailable

_UNKNOWN = """
    SELECT name FROM unnest(%s::text[]) name JOIN pg_class ON oid = to_regclass(quote_ident(name))
    WHERE pg_relation_size(oid) > 0 AND NOT EXISTS (
        SELECT FROM pg_stats WHERE tablename = relname AND schemaname = relnamespace::regnamespace::text
    )
    ORDER BY name
"""

logger = logging.getLogger("agent_router.database")


async def analyze_unknown_tables() -> None:
    """Has PostgreSQL look at the service's tables that it has no statistics of. On SQLite, does nothing."""
    if connection.vendor != "postgresql":
        return
    try:
        await database.write(_analyze)
    except ServiceUnavailable:
        # Whoever needs the database is told so. By the time that it is there, autovacuum will be, too.
        logger.debug("Tables without statistics could not be analyzed")


def _analyze() -> None:
    # In one order in every process: each holds its tables until all are done.
    names = [model._meta.db_table for model in apps.get_models()]
    with connection.cursor() as cursor:
        cursor.execute(_UNKNOWN, [names])
        for [name] in cursor.fetchall():
            cursor.execute(f"ANALYZE {connection.ops.quote_name(name)}")
            logger.info("Analyzed %s, of which PostgreSQL knew nothing", name)
