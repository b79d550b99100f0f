"""The index on SQLite: which changes it records, and how it is repaired."""

import sqlite3
from contextlib import closing

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection, transaction
from django.db.models import Value

from core.database.failures import unavailable
from core.http.problems import ServiceUnavailable
from core.resources.search import building, sqlite_index
from items.models import Item
from tests.core.resources.search.index import TABLE, execute, fill, found, segments
from tests.databases import IS_POSTGRES
from tests.items.rows import DAWN, make_item, make_user

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(IS_POSTGRES, reason="the index of SQLite"),
]


@pytest.fixture(autouse=True)
def empty() -> None:
    with transaction.atomic():
        sqlite_index.create(TABLE)


def waiting() -> int:
    return sqlite_index.backlog(TABLE, at_most=1000)


def recorded_changes() -> list[str]:
    """Return the names under which changed rows are still indexed."""
    return [name for [name] in execute("SELECT name FROM item_search_changed ORDER BY docid")]


def test_new_rows_are_indexed_without_a_recorded_change() -> None:
    owner = make_user()
    Item.objects.bulk_create(Item(name=f"item {n}", owner=owner, updated_at=DAWN) for n in range(5))
    assert (waiting(), recorded_changes(), found("ite")) == (5, [], set())
    assert fill(3) == 3
    assert (waiting(), found("ite")) == (2, {"item 0", "item 1", "item 2"})
    assert fill(3) == 2
    assert fill(3) == waiting() == 0


def test_batches_of_long_rows_are_smaller() -> None:
    owner = make_user()
    long = "漢字 " * 1000
    for number in range(30):
        make_item(owner, name=f"item {number}", description=long)
    assert 1 <= fill(10) <= 3
    assert building.build(TABLE) == ""
    assert (waiting(), len(found("ite"))) == (0, 30)
    Item.objects.update(description="short")
    new = make_item(owner, name="item 30", description=long)
    assert 1 <= fill(10) <= 3
    assert found("30\n") == set(), "changed rows are indexed before new ones"
    new.delete()
    while fill(10):
        pass
    assert (waiting(), len(found("sho"))) == (0, 30)


def test_only_changes_of_indexed_fields_are_recorded_and_only_once() -> None:
    item = make_item(make_user(), name="first", description="of all")
    item.name = "before it is indexed"
    item.save()
    assert recorded_changes() == []
    fill()
    Item.objects.update(status="draft", metadata={"a": 1}, name="before it is indexed")
    assert recorded_changes() == []
    item.name = "second"
    item.save()
    Item.objects.update(description="changed")
    assert recorded_changes() == ["before it is indexed"], "the name is the one that the index contains"
    assert fill() == 1
    assert (recorded_changes(), found("sec"), found("cha"), found("bef")) == ([], {"second"}, {"second"}, set())
    item.owner = make_user()
    item.save()
    assert recorded_changes() == ["second"], "the index contains the owner"


def test_deleted_rows_leave_the_index() -> None:
    owners = [make_user(), make_user()]
    for number in range(6):
        make_item(owners[number % 2], name=f"item {number}")
    fill()
    owners[0].delete()
    assert recorded_changes() == ["item 0", "item 2", "item 4"]
    fill()
    assert execute("SELECT count(*) FROM item_search WHERE item_search MATCH 'ite'") == [(3,)]
    Item.objects.all().delete()
    fill()
    assert execute("SELECT count(*) FROM item_search_terms") == [(0,)]
    make_item(owners[1], name="with the first rowid again")
    assert waiting() == 1
    fill()
    assert found("aga") == {"with the first rowid again"}


def test_rolled_back_change_is_not_recorded() -> None:
    make_item(make_user(), name="stays")
    fill()
    with transaction.atomic():
        Item.objects.update(name="another")
        Item.objects.all().delete()
        transaction.set_rollback(True)
    assert (recorded_changes(), waiting(), found("sta")) == ([], 0, {"stays"})


def test_client_without_the_casefold_function_can_write() -> None:
    """The sqlite3 shell lacks the casefold function."""
    make_item(make_user(), name="one")
    make_item(make_user(), name="two")
    fill()
    with closing(sqlite3.connect(connection.settings_dict["NAME"], autocommit=True)) as shell:
        shell.execute("UPDATE item SET name = 'Three' WHERE name = 'one'")
        shell.execute("UPDATE OR REPLACE item SET name = 'Four' WHERE name = 'Three'")
        shell.execute("DELETE FROM item WHERE name = 'two'")
    assert recorded_changes() == ["one", "two"]
    fill()
    assert (found("fou"), found("one"), found("two")) == ({"Four"}, set(), set())


def test_vacuum_keeps_every_rowid() -> None:
    owner = make_user()
    for number in range(20):
        make_item(owner, name=f"item {number:02}")
    fill()
    Item.objects.filter(name__lt="item 15").exclude(name="item 07").delete()
    fill()
    execute("VACUUM")
    assert sqlite_index.is_whole(TABLE)
    assert found("07\n") == {"item 07"}
    assert found("19\n") == {"item 19"}


def test_changed_rowids_are_detected() -> None:
    owner = make_user()
    for number in range(3):
        make_item(owner, name=f"item {number}")
    fill()
    assert sqlite_index.is_whole(TABLE)
    execute("UPDATE item SET rowid = rowid + 10")
    assert not sqlite_index.is_whole(TABLE)
    assert building.build(TABLE) == ""
    assert sqlite_index.is_whole(TABLE)
    assert found("m 1") == {"item 1"}


def test_build_merges_the_segments_of_many_commits() -> None:
    owner = make_user()
    for number in range(10):
        make_item(owner, name=f"item {number}")
        fill()
    assert segments() > 1
    assert building.build(TABLE) == ""
    assert segments() == 1
    assert found("m 1") == {"item 1"}


def test_changed_rowids_are_detected_after_later_inserts() -> None:
    owner = make_user()
    items = [make_item(owner, name=f"item {number}") for number in range(5)]
    fill()
    Item.objects.filter(id__in=[item.id for item in items[:3]]).delete()
    fill()
    execute("UPDATE item SET rowid = rowid - 3")
    for number in range(5, 10):
        make_item(owner, name=f"item {number}")
        fill()
    assert not sqlite_index.is_whole(TABLE)
    assert building.build(TABLE) == ""
    assert len(found("ite")) == 7


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TRIGGER item_search_update",
        "DROP TRIGGER item_search_delete",
        "DROP TABLE item_search_terms",
        "DROP TABLE item_search_changed",
        "UPDATE item_search_state SET unicode = '3.0'",
        "DELETE FROM item_search_state",
    ],
)
def test_missing_part_of_the_index_is_detected_and_rebuilt(damage: str) -> None:
    make_item(make_user(), name="found again")
    fill()
    execute(damage)
    assert not sqlite_index.is_whole(TABLE)
    call_command("build_search_index", verbosity=0)
    assert sqlite_index.is_whole(TABLE)
    assert found("aga") == {"found again"}


def test_migration_can_be_reversed_and_repeated_with_existing_rows() -> None:
    for number in range(3):
        make_item(make_user(), name=f"item {number}")
    call_command("migrate", "items", "0001", verbosity=0)
    try:
        assert execute("SELECT name FROM sqlite_schema WHERE name LIKE '%search%'") == []
    finally:
        call_command("migrate", "items", verbosity=0)
    assert (waiting(), len(found("ite"))) == (0, 3)


def test_dump_can_read_every_table() -> None:
    make_item(make_user(), name="in the dump")
    fill()
    with closing(sqlite3.connect(str(connection.settings_dict["NAME"]))) as another:
        tables = [name for [name] in another.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        assert "item_search" in tables
        for table in tables:
            another.execute(f'SELECT * FROM "{table}"').fetchall()


@pytest.mark.parametrize("text", ["CAST(x'ff41' AS TEXT)", "x'ff41'"])
def test_search_over_invalid_text_is_service_unavailable(text: str) -> None:
    """Reading the row itself fails in the same way."""
    item = make_item(make_user())
    execute(f"UPDATE item SET description = {text}")
    with pytest.raises(OperationalError) as caught:
        Item.objects.search(Value("%x%")).exists()
    assert isinstance(unavailable(caught.value), ServiceUnavailable)
    item.delete()
