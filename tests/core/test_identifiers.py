"""UUIDs: how they are generated and parsed."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.http.path_ids import parse_id
from core.http.problems import NotFound
from core.values import canonical_uuid, is_id, uuid7


def test_new_ids_have_version_7_and_ascend() -> None:
    ids = [uuid7() for _ in range(1000)]
    assert all((one.version, one.variant) == (7, uuid.RFC_4122) for one in ids)
    assert ids == sorted(set(ids))
    assert type(ids[0]) is uuid.UUID


@given(value=st.uuids())
def test_id_in_a_path_is_parsed(value: uuid.UUID) -> None:
    assert parse_id(str(value)) == parse_id(str(value).upper()) == value
    assert canonical_uuid(value.hex) == canonical_uuid(str(value)) == str(value)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("-", ""),
        lambda text: "{" + text + "}",
        lambda text: f"urn:uuid:{text}",
        lambda text: text + "\n",
        lambda text: " " + text,
        lambda text: text[:-1],
        lambda text: text[:-1] + "g",
        lambda text: text.replace("0", "\u0660"),
        lambda text: "",
    ],
)
def test_other_forms_of_uuid_are_not_ids(change: "object") -> None:
    assert callable(change)
    text = change("01980d2e-7c1a-7f3e-9c55-2b6f0d7e4a10")
    assert not is_id(text)
    with pytest.raises(NotFound):
        parse_id(text)
