"""Instants have one text form, whichever database they come from."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.values import MICROSECOND, later_than, now, rfc3339

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
