"""Compiled statements on PostgreSQL: prepared by the server, sent together."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError

from core.database.compiled import CompiledQuery, compiled_insert, parameter
from core.database.pool import Database
from tests.core.database.postgresql.statements import ask, names

type Run = Callable[[Callable[[Database], Any]], Any]

FIND = CompiledQuery(lambda: Group.objects.filter(name=parameter(Group, "name")).values_list("id", "name"))
INSERT = compiled_insert(lambda: Group)


def test_server_prepares_compiled_statements_once_per_connection(run: Run, settings: Any) -> None:
    settings.DB_POOL_SIZE = 1

    async def test(database: Database) -> None:
        await database.write(lambda: INSERT.queue(id=1, name="a"))
        for _ in range(3):
            assert await database.read(lambda: FIND.fetch_all(name="a")) == [(1, "a")]
        assert await database.read(lambda: FIND.fetch_one(name="b")) is None
        prepared = "FROM pg_prepared_statements WHERE statement LIKE '%%FROM \"auth_group\"%%name%%$1%%'"
        assert await database.read(lambda: ask(f"SELECT count(*) {prepared}")) == 1
        assert await database.read(lambda: ask(f"SELECT generic_plans + custom_plans {prepared}")) == 4

    run(test)


def test_queued_statements_run_before_the_next_query(run: Run) -> None:
    def write_and_read() -> Any:
        INSERT.queue(id=1, name="a")
        by_orm = names()
        INSERT.queue(id=2, name="b")
        return by_orm, FIND.fetch_one(name="b"), INSERT.run(id=3, name="c")

    async def test(database: Database) -> None:
        assert await database.write(write_and_read) == (["a"], (2, "b"), 1)
        with pytest.raises(IntegrityError):
            await database.write(lambda: INSERT.queue(id=1, name="d"))
        assert await database.read(names) == ["a", "b", "c"]

    run(test)
