"""Instants are written in one way, wherever they come from."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.values import MICROSECOND, later_than, now, rfc3339

MOMENTS = st.datetimes(timezones=st.just(UTC))


def as_sqlite_casts(moment: datetime) -> str:
    """Django keeps the text of a naive datetime in UTC."""
    return str(moment.replace(tzinfo=None))


def as_postgresql_casts(moment: datetime) -> str:
    """With the session's time zone, UTC, and no more digits than it takes."""
    text = str(moment.replace(tzinfo=None))
    return (text.rstrip("0") if "." in text else text) + "+00"


@given(MOMENTS)
def test_databases_text_and_python_say_the_same(moment: datetime) -> None:
    expected = moment.strftime("%Y-%m-%dT%H:%M:%S.%f").zfill(26) + "Z"
    assert rfc3339(moment) == expected
    assert rfc3339(as_sqlite_casts(moment)) == expected
    assert rfc3339(as_postgresql_casts(moment)) == expected


@given(st.integers(0, 999_999))
def test_every_fraction_of_a_second_is_written_whole(microsecond: int) -> None:
    moment = datetime(2026, 1, 31, 12, 0, 0, microsecond, UTC)
    for text in (as_sqlite_casts(moment), as_postgresql_casts(moment)):
        assert rfc3339(text) == f"2026-01-31T12:00:00.{microsecond:06}Z"


@pytest.mark.parametrize("digits", range(7))
def test_postgresql_cuts_a_fraction_at_any_digit(digits: int) -> None:
    moment = datetime(2026, 1, 31, 12, 0, 0, int("123456"[:digits].ljust(6, "0")), UTC)
    assert rfc3339(as_postgresql_casts(moment)) == rfc3339(moment)


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1)), st.integers(-23 * 60, 23 * 60))  # noqa: DTZ001
def test_other_offsets_become_utc(naive: datetime, minutes: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    text = rfc3339(moment)
    assert text.endswith("Z")
    assert datetime.fromisoformat(text) == moment


def test_later_than_is_later_and_not_before_the_present() -> None:
    before = now()
    assert later_than(datetime(2000, 1, 1, tzinfo=UTC)) >= before
    future = before + timedelta(hours=1)
    assert later_than(future) == future + MICROSECOND
    assert now().utcoffset() == timedelta(0)
