"""Planner statistics on PostgreSQL: without them, after an import, lists sort all rows of a user."""

import logging

from django.apps import apps
from django.db import connection

from core.database.pool import database
from core.http.problems import ServiceUnavailable

_WITHOUT_STATISTICS = """
    SELECT name FROM unnest(%s::text[]) name JOIN pg_class ON oid = to_regclass(quote_ident(name))
    WHERE pg_relation_size(oid) > 0 AND NOT EXISTS (
        SELECT FROM pg_stats WHERE tablename = relname AND schemaname = relnamespace::regnamespace::text
    )
    ORDER BY name
"""

logger = logging.getLogger("agent_router.database")


async def analyze_unknown_tables() -> None:
    """Run ANALYZE on the service's tables that have rows and no statistics. On SQLite, do nothing."""
    if connection.vendor != "postgresql":
        return
    try:
        await database.write(_analyze)
    except ServiceUnavailable:
        logger.debug("Tables without statistics could not be analyzed")


def _analyze() -> None:
    # Every process uses the same order, because ANALYZE holds its locks until the commit.
    names = [model._meta.db_table for model in apps.get_models()]
    with connection.cursor() as cursor:
        cursor.execute(_WITHOUT_STATISTICS, [names])
        for [name] in cursor.fetchall():
            cursor.execute(f"ANALYZE {connection.ops.quote_name(name)}")
            logger.info("Analyzed %s, which had no statistics", name)
