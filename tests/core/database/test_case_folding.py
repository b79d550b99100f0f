"""Case-insensitive search with literal % and _."""

import secrets
from typing import Any

import pytest
from django.db import connection, models
from django.db.backends.postgresql.base import DatabaseWrapper as PostgreSQL
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLite
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.auth.models import User
from core.database.case_folding import containing, contains
from core.database.compiled import CompiledQuery, Parameter
from core.database.planner_hints import Unindexed
from core.values import now
from items.models import Item
from tests.databases import IS_POSTGRES

sqlite_only = pytest.mark.skipif(IS_POSTGRES, reason="PostgreSQL folds case by its own rules")
SEARCH = CompiledQuery(
    lambda: Item.objects.filter(contains("name", Parameter("q", models.TextField()))).values_list("name")
)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
odd_texts = st.text(st.sampled_from("aA%_\\ßẞſsS.*[]'\"éÉİıiIΣσς"), max_size=6)


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create(email=f"{secrets.token_hex(8)}@example.org")


def find(owner: User, name: str, text: str) -> bool:
    item = Item.objects.create(name=name, owner=owner, created_at=now(), updated_at=now())
    try:
        found = SEARCH.fetch_all(q=containing(text))
        assert found == list(Item.objects.filter(contains("name", models.Value(containing(text)))).values_list("name"))
        return found == [(name,)]
    finally:
        item.delete()


@sqlite_only
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(name=texts | odd_texts, text=texts | odd_texts)
def test_search_ignores_case(owner: User, name: str, text: str) -> None:
    assert find(owner, name, text) == (text.casefold() in name.casefold())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(before=odd_texts, text=odd_texts, after=odd_texts)
def test_contained_text_is_found(owner: User, before: str, text: str, after: str) -> None:
    assert find(owner, before + text + after, text)


@pytest.mark.parametrize(
    ("name", "text", "is_found"),
    [
        ("ÄRGER", "ärger", True),
        pytest.param("Straße", "STRASSE", True, marks=sqlite_only),
        pytest.param("ΣΊΣΥΦΟΣ", "σίσυφος", True, marks=sqlite_only),
        ("50% off", "50%", True),
        ("50 percent", "50%", False),
        ("a_b", "A_B", True),
        ("axb", "a_b", False),
        (r"C:\dir", r":\D", True),
        ("plain", "\\", False),
        ("anything", "", True),
    ],
)
def test_examples(owner: User, name: str, text: str, is_found: bool) -> None:
    assert find(owner, name, text) == is_found


def sql_for(queryset: models.QuerySet[Any, Any], database: Any) -> str:
    return str(queryset.query.get_compiler(connection=database).as_sql()[0])


def databases() -> tuple[SQLite, PostgreSQL]:
    """One connection of each backend, never opened."""
    options = {**connection.settings_dict, "OPTIONS": {}}
    return SQLite(options, "other"), PostgreSQL(options, "another")


def test_sql_of_both_databases() -> None:
    rows = Item.objects.filter(contains("name", models.Value("%a%"))).values_list("id").order_by()
    sqlite, postgresql = (sql_for(rows, database) for database in databases())
    assert r"""CASEFOLD("item"."name") LIKE CASEFOLD(%s) ESCAPE '\'""" in sqlite
    assert r"""LOWER("item"."name") LIKE LOWER(%s) ESCAPE '\'""" in postgresql


COLUMN = Unindexed(models.F("name"), output_field=models.CharField())


def test_unindexed_column_is_changed_on_sqlite_only() -> None:
    rows = Item.objects.filter(models.lookups.Exact(COLUMN, "x")).order_by().values_list("id")
    sqlite, postgresql = (sql_for(rows, database) for database in databases())
    assert '+"item"."name" = %s' in sqlite
    assert '"item"."name" = %s' in postgresql
    assert "+" not in postgresql


@pytest.mark.skipif(IS_POSTGRES, reason="SQLite's planner")
@pytest.mark.django_db
def test_unindexed_column_uses_no_index() -> None:
    rows = Item.objects.filter(models.lookups.Exact(COLUMN, "x")).order_by().values_list("id")
    plain = Item.objects.filter(name="x").order_by().values_list("id")
    assert "SCAN" in rows.explain()
    assert "item_name" in plain.explain()
    assert list(rows) == list(plain) == []
