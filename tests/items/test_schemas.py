"""What of an item a client may send."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from items.schemas import METADATA_MAX_BYTES, METADATA_MAX_LEVELS, ItemIn, ItemQuery

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


def faults(**fields: Any) -> set[tuple[str, str]]:
    with pytest.raises(ValidationError) as refusal:
        ItemIn.model_validate({"name": "x", **fields})
    return {(str(fault["loc"][0]), fault["type"]) for fault in refusal.value.errors()}


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
    ("fields", "fault"),
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
def test_what_is_refused(fields: dict[str, Any], fault: tuple[str, str]) -> None:
    assert faults(**fields) == {fault}


def test_length_counts_characters() -> None:
    assert ItemIn(name="🦊" * 200, description="é" * 5000).name == "🦊" * 200


@pytest.mark.parametrize("leaf", [{}, [], {"a": 1}, ["x"]])
def test_metadata_of_16_levels_and_of_17(leaf: Any) -> None:
    assert ItemIn(name="x", metadata=nested(METADATA_MAX_LEVELS, leaf)).metadata
    assert faults(metadata=nested(METADATA_MAX_LEVELS + 1, leaf)) == {("metadata", "metadata_too_deep")}


@pytest.mark.parametrize("levels", [200, 254, 255, 256, 900])
def test_metadata_that_is_far_too_deep(levels: int) -> None:
    assert faults(metadata=nested(levels)) == {("metadata", "metadata_too_deep")}


@pytest.mark.parametrize("character", ["x", "é", "🦊"])
def test_metadata_of_16_kib_and_a_byte_more(character: str) -> None:
    room = METADATA_MAX_BYTES - len('{"k":""}')
    size = len(character.encode())
    fits = character * (room // size) + "x" * (room % size)
    assert ItemIn(name="x", metadata={"k": fits}).metadata
    assert faults(metadata={"k": fits + "x"}) == {("metadata", "metadata_too_large")}


@given(metadata=st.dictionaries(st.text(max_size=3), JSON, max_size=4))
def test_metadata_stays_what_it_is(metadata: dict[str, Any]) -> None:
    found = ItemIn(name="x", metadata=metadata).metadata
    assert repr(found) == repr(metadata)


def test_query_has_one_form_for_the_same_statuses() -> None:
    one = ItemQuery.model_validate({"status": ["draft", "active", "draft"]})
    assert one == ItemQuery.model_validate({"status": ["active", "draft"]})
    assert one.status == ("active", "draft")
    assert hash(one)
