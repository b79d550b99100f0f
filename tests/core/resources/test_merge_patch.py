"""JSON Merge Patch compared with RFC 7396."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from core.http.problems import ValidationFailed
from core.resources.merge_patch import check_patch, merge_patch, patched

# RFC 7396, appendix A.
CASES = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize(("target", "patch", "result"), CASES)
def test_rfc_examples(target: Any, patch: Any, result: Any) -> None:
    before = copy.deepcopy((target, patch))
    assert merge_patch(target, patch) == result
    assert (target, patch) == before, "neither argument is changed"


def reference_merge_patch(target: Any, patch: Any) -> Any:
    """Implement RFC 7396, section 2, literally."""
    if isinstance(patch, dict):
        if not isinstance(target, dict):
            target = {}
        for name, value in patch.items():
            if value is None:
                if name in target:
                    del target[name]
            else:
                target[name] = reference_merge_patch(target.get(name), value)
        return target
    return patch


@given(target=VALUES, patch=VALUES)
def test_merge_patch_matches_the_reference(target: Any, patch: Any) -> None:
    before = copy.deepcopy((target, patch))
    assert merge_patch(target, patch) == reference_merge_patch(copy.deepcopy(target), patch)
    assert (target, patch) == before


@given(target=st.dictionaries(st.sampled_from("abc"), VALUES))
def test_empty_patch_changes_nothing(target: dict[str, Any]) -> None:
    assert merge_patch(target, {}) == target


def test_deep_patch_does_not_exhaust_the_stack() -> None:
    patch: Any = {"end": None}
    for _ in range(50_000):
        patch = {"a": patch}
    merged, depth = merge_patch({}, patch), 0
    while merged:
        merged, depth = merged["a"], depth + 1
    assert depth == 50_000
    while patch:  # by hand, because the interpreter frees nested objects recursively
        patch = patch.pop("a", None)


class Thing(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    colour: str = "red"


@pytest.mark.parametrize("patch", ["text", ["name"], None, 5])
def test_patch_that_is_not_an_object_is_refused(patch: Any) -> None:
    with pytest.raises(ValidationFailed) as refusal:
        check_patch(patch, Thing)
    assert refusal.value.errors == [{"pointer": "#", "detail": "must be an object", "code": "dict_type"}]


def test_unknown_members_are_refused_even_if_null() -> None:
    with pytest.raises(ValidationFailed) as refusal:
        check_patch({"name": "a", "id": None, "a/b": 1}, Thing)
    assert [error["pointer"] for error in refusal.value.errors] == ["#/id", "#/a~1b"]
    assert refusal.value.detail == "2 fields are not valid"


def test_null_resets_a_field_to_its_default() -> None:
    current = {"name": "a", "colour": "blue"}
    assert patched(Thing, current, {"colour": None}) == Thing(name="a", colour="red")
    assert patched(Thing, current, {}) == Thing(name="a", colour="blue")
    with pytest.raises(ValidationFailed) as refusal:
        patched(Thing, current, {"name": None})
    assert refusal.value.errors == [{"pointer": "#/name", "detail": "is required", "code": "missing"}]
