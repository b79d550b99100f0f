"""The service analyzes tables without statistics when it starts."""

from collections.abc import Callable

import psycopg

from tests.running_service import RunningService
from tests.waiting import await_true

ITEMS = """
    INSERT INTO item (id, owner_id, name, description, status, metadata, version, created_at, updated_at)
    SELECT gen_random_uuid(), (SELECT id FROM accounts_user LIMIT 1), 'n' || n, '', 'active', '{}', 1,
        now() - n * interval '1 second', now()
    FROM generate_series(1, 3000) n
"""
PAGE = (
    "EXPLAIN SELECT name FROM item WHERE owner_id = (SELECT owner_id FROM item LIMIT 1) "
    "ORDER BY created_at DESC, id DESC LIMIT 20"
)


def test_tables_without_statistics_are_analyzed_after_the_start(dsn: str, start: Callable[..., RunningService]) -> None:
    with psycopg.connect(dsn, autocommit=True) as database:

        def plan() -> str:
            return "\n".join(line for [line] in database.execute(PAGE).fetchall())

        def known() -> set[str]:
            return {name for [name] in database.execute("SELECT DISTINCT tablename FROM pg_stats").fetchall()}

        database.execute("ALTER TABLE item SET (autovacuum_enabled = off)")
        service = start(DB_DSN=dsn)
        service.user().close()
        service.stop()
        database.execute(ITEMS)
        assert "Sort" in plan(), "it takes the user's items for few"
        assert "item" not in known()
        service.start()
        await_true(lambda: "item" in known(), "the table is not analyzed")
        assert "Sort" not in plan()
