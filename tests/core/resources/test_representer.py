"""JSON made from a stored row and from an unsaved one is the same."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.resources.representer import Representer
from items.models import Item, ItemQuerySet
from items.schemas import ItemOut
from tests.items.rows import make_item, make_user

ID, OWNER = "01980d2e-7c1a-7f3e-9c55-2b6f0d7e4a10", "01980d2e-11b0-7a52-8f60-6a1f4c3b2d1e"
WRITTEN = "2026-01-31T09:30:00.000000Z"

REPRESENTER = Representer(Item)


def row(**fields: Any) -> Any:
    stored = {"id": ID, "name": "a", "description": "", "status": "active", "metadata": "{}", "owner_id": OWNER}
    times = {"created_at": "2026-01-31 09:30:00", "updated_at": "2026-01-31 09:30:00"}
    return Item.row_type()(**{**stored, "version": 3, **times, **fields})


def test_field_without_a_value_is_null() -> None:
    assert orjson.loads(REPRESENTER.to_json(row(created_at=None, metadata=None)))["created_at"] is None


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"id": ID.replace("-", ""), "owner_id": OWNER.replace("-", "")},
        {"created_at": "2026-01-31 09:30:00+00", "updated_at": "2026-01-31 09:30:00.000000"},
        {"created_at": datetime(2026, 1, 31, 9, 30, tzinfo=UTC)},
    ],
    ids=["plain", "ids of SQLite", "times of PostgreSQL and SQLite", "not stored yet"],
)
def test_json_does_not_depend_on_the_database(other: dict[str, Any]) -> None:
    found = orjson.loads(REPRESENTER.to_json(row(**other)))
    assert found == {
        "id": ID,
        "name": "a",
        "description": "",
        "status": "active",
        "metadata": {},
        "owner_id": OWNER,
        "version": 3,
        "created_at": WRITTEN,
        "updated_at": WRITTEN,
    }
    assert set(found) == set(ItemOut.model_fields)


@given(text=st.text(), metadata=st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)))
def test_text_and_metadata_are_kept_exactly(text: str, metadata: dict[str, float]) -> None:
    found = orjson.loads(
        REPRESENTER.to_json(row(name=text, description=text, metadata=orjson.dumps(metadata).decode()))
    )
    assert (found["name"], found["description"]) == (text, text)
    assert repr(found["metadata"]) == repr(metadata)


def test_representation_has_version_and_owner() -> None:
    found = REPRESENTER.represent(row(owner_id=OWNER.replace("-", "")))
    assert (found.version, found.owner, found.body) == (3, OWNER, REPRESENTER.to_json(row()))


@pytest.mark.django_db
def test_json_of_a_stored_item_matches_the_schema() -> None:
    item = make_item(make_user(), created=1.5, metadata={"a": [1, 2.5]})
    [stored] = ItemQuerySet(Item).as_rows()
    stored = Item.row_type()._make(stored)
    found = ItemOut.model_validate_json(REPRESENTER.to_json(stored))
    assert (found.id, found.owner_id, found.metadata) == (item.id, item.owner_id, {"a": [1, 2.5]})
    assert (found.created_at, found.updated_at) == (item.created_at, item.updated_at)
