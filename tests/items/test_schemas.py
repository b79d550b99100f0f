"""Validation of the fields that a client may send."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core.resources.metadata import METADATA_MAX_BYTES, METADATA_MAX_LEVELS
from items.schemas import ItemIn, ItemQuery

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=30,
)


def nested(levels: int, leaf: Any = None) -> dict[str, Any]:
    value: Any = leaf if leaf is not None else {}
    for _ in range(levels - 1):
        value = {"k": value}
    assert isinstance(value, dict)
    return value


def validation_errors(**fields: Any) -> set[tuple[str, str]]:
    with pytest.raises(ValidationError) as refusal:
        ItemIn.model_validate({"name": "x", **fields})
    return {(str(error["loc"][0]), error["type"]) for error in refusal.value.errors()}


def test_defaults() -> None:
    assert ItemIn(name="x").model_dump() == {"name": "x", "description": "", "status": "active", "metadata": {}}
    assert ItemIn(name="a").metadata is not ItemIn(name="b").metadata


@given(name=st.text(min_size=1, max_size=200))
def test_name_is_trimmed(name: str) -> None:
    try:
        found = ItemIn(name=name).name
    except ValidationError:
        assert not name.strip()
    else:
        assert found
        assert found in name
        assert not found[0].isspace() or found[0] in "\x1c\x1d\x1e\x1f"


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"name": ""}, ("name", "string_too_short")),
        ({"name": " \t\n\u3000"}, ("name", "string_too_short")),
        ({"name": "x" * 201}, ("name", "string_too_long")),
        ({"name": 5}, ("name", "string_type")),
        ({"description": "x" * 5001}, ("description", "string_too_long")),
        ({"description": None}, ("description", "string_type")),
        ({"status": "ACTIVE"}, ("status", "literal_error")),
        ({"metadata": []}, ("metadata", "dict_type")),
        ({"metadata": None}, ("metadata", "dict_type")),
        ({"version": 1}, ("version", "extra_forbidden")),
        ({"owner_id": "x"}, ("owner_id", "extra_forbidden")),
    ],
)
def test_invalid_field_is_refused(fields: dict[str, Any], error: tuple[str, str]) -> None:
    assert validation_errors(**fields) == {error}


def test_maximum_length_is_counted_in_characters() -> None:
    assert ItemIn(name="🦊" * 200, description="é" * 5000).name == "🦊" * 200


@pytest.mark.parametrize("leaf", [{}, [], {"a": 1}, ["x"]])
def test_metadata_may_have_16_levels_and_not_17(leaf: Any) -> None:
    assert ItemIn(name="x", metadata=nested(METADATA_MAX_LEVELS, leaf)).metadata
    assert validation_errors(metadata=nested(METADATA_MAX_LEVELS + 1, leaf)) == {("metadata", "metadata_too_deep")}


@pytest.mark.parametrize("levels", [200, 254, 255, 256, 900])
def test_very_deep_metadata_is_refused(levels: int) -> None:
    assert validation_errors(metadata=nested(levels)) == {("metadata", "metadata_too_deep")}


@pytest.mark.parametrize("character", ["x", "é", "🦊"])
def test_metadata_may_have_16_kib_and_no_byte_more(character: str) -> None:
    room = METADATA_MAX_BYTES - len('{"k":""}')
    size = len(character.encode())
    fits = character * (room // size) + "x" * (room % size)
    assert ItemIn(name="x", metadata={"k": fits}).metadata
    assert validation_errors(metadata={"k": fits + "x"}) == {("metadata", "metadata_too_large")}


@given(metadata=st.dictionaries(st.text(max_size=3), JSON, max_size=4))
def test_metadata_is_not_changed_by_validation(metadata: dict[str, Any]) -> None:
    found = ItemIn(name="x", metadata=metadata).metadata
    assert repr(found) == repr(metadata)


def test_queries_with_the_same_statuses_are_equal() -> None:
    one = ItemQuery.model_validate({"status": ["draft", "active", "draft"]})
    assert one == ItemQuery.model_validate({"status": ["active", "draft"]})
    assert one.status == ("active", "draft")
    assert hash(one)
