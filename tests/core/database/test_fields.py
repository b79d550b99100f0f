"""JSON stored as text, without loss."""

import secrets
from typing import Any

import pytest
from django.core import serializers
from django.core.exceptions import ValidationError
from django.db import connection
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from core.auth.models import User
from core.database.fields import JSONTextField
from core.values import now
from items.models import Item

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=10,
)


def make(metadata: Any) -> Item:
    owner = User.objects.create(email=f"{secrets.token_hex(8)}@example.org")
    return Item.objects.create(name="x", owner=owner, metadata=metadata, created_at=now(), updated_at=now())


@pytest.mark.django_db
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.dictionaries(texts, values))
@example({"b": 1, "a": 1e300, "c": -0.0, "d": 2**64 - 1, "e": 0.1})
def test_value_is_stored_without_loss(value: dict[str, Any]) -> None:
    item = make(value)
    item.refresh_from_db()
    assert repr(item.metadata) == repr(value)


@pytest.mark.django_db
def test_database_holds_compact_text() -> None:
    item = make({"b": [1, None], "a": "é"})
    with connection.cursor() as cursor:
        cursor.execute("SELECT metadata FROM item WHERE name = 'x'")
        assert cursor.fetchone()[0] == '{"b":[1,null],"a":"é"}'
    assert list(Item.objects.filter(metadata={"b": [1, None], "a": "é"})) == [item]
    [again] = serializers.deserialize("json", serializers.serialize("json", [item]))
    assert again.object.metadata == item.metadata  # type: ignore[attr-defined]


def test_null_stays_null_and_text_is_read() -> None:
    field = JSONTextField()
    assert field.get_prep_value(None) is None
    assert field.from_db_value(None) is None
    assert field.to_python('{"a": 1}') == {"a": 1}
    assert field.to_python({"a": 1}) == {"a": 1}
    with pytest.raises(ValidationError, match="not JSON"):
        field.to_python("{oops")
