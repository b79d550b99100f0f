"""Instants, identifiers and the comparison of JSON texts."""

import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.http.path_ids import parse_id
from core.http.problems import NotFound
from core.values import MICROSECOND, canonical_uuid, is_id, later_than, now, rfc3339, same_json, uuid7

MOMENTS = st.datetimes(timezones=st.just(UTC))


def as_sqlite_casts(moment: datetime) -> str:
    """Return the text of a naive UTC datetime, as Django stores it."""
    return str(moment.replace(tzinfo=None))


def as_postgresql_casts(moment: datetime) -> str:
    """Return the text with an offset and without trailing zeros, as PostgreSQL casts it in a UTC session."""
    text = str(moment.replace(tzinfo=None))
    return (text.rstrip("0") if "." in text else text) + "+00"


@given(MOMENTS)
def test_both_databases_give_the_same_text(moment: datetime) -> None:
    expected = moment.strftime("%Y-%m-%dT%H:%M:%S.%f").zfill(26) + "Z"
    assert rfc3339(moment) == expected
    assert rfc3339(as_sqlite_casts(moment)) == expected
    assert rfc3339(as_postgresql_casts(moment)) == expected


@given(st.integers(0, 999_999))
def test_fraction_always_has_six_digits(microsecond: int) -> None:
    moment = datetime(2026, 1, 31, 12, 0, 0, microsecond, UTC)
    for text in (as_sqlite_casts(moment), as_postgresql_casts(moment)):
        assert rfc3339(text) == f"2026-01-31T12:00:00.{microsecond:06}Z"


@pytest.mark.parametrize("digits", range(7))
def test_postgresql_fraction_of_any_length_is_parsed(digits: int) -> None:
    moment = datetime(2026, 1, 31, 12, 0, 0, int("123456"[:digits].ljust(6, "0")), UTC)
    assert rfc3339(as_postgresql_casts(moment)) == rfc3339(moment)


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1)), st.integers(-23 * 60, 23 * 60))  # noqa: DTZ001
def test_other_offsets_are_converted_to_utc(naive: datetime, minutes: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    text = rfc3339(moment)
    assert text.endswith("Z")
    assert datetime.fromisoformat(text) == moment


def test_later_than_is_later_and_not_in_the_past() -> None:
    before = now()
    assert later_than(datetime(2000, 1, 1, tzinfo=UTC)) >= before
    future = before + timedelta(hours=1)
    assert later_than(future) == future + MICROSECOND
    assert now().utcoffset() == timedelta(0)


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


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(value=st.dictionaries(st.text(max_size=3), JSON))
def test_order_of_keys_does_not_matter(value: dict[str, Any]) -> None:
    turned = dict(reversed(value.items()))
    assert same_json(orjson.dumps(value).decode(), orjson.dumps(turned).decode())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a":1}', '{"a":1.0}'),
        ('{"a":1}', '{"a":true}'),
        ('{"a":0.0}', '{"a":-0.0}'),
        ('{"a":[1,2]}', '{"a":[2,1]}'),
        ('{"a":null}', "{}"),
        ('{"a":9007199254740993}', '{"a":9007199254740992}'),
    ],
)
def test_different_values_are_not_equal(one: str, other: str) -> None:
    assert not same_json(one, other)
