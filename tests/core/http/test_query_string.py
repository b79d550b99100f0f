"""Query strings: errors name their parameter."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from core.http.problems import MalformedRequest, ValidationFailed
from core.http.query_string import (
    CACHED_LENGTH,
    Boolean,
    Instant,
    Integer,
    _cached_parse,
    each_once,
    parse_query,
    query_pairs,
)
from tests.core.requests import make_request


class Query(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Integer = Field(20, ge=1, le=100)
    total: Boolean = False
    name: str | None = None
    after: Instant | None = None
    status: Annotated[tuple[str, ...], AfterValidator(each_once)] = ()


def parse(query: str) -> Query:
    return parse_query(make_request(query=query), Query)


def refused(query: str) -> dict[str, str]:
    """Return the error codes by parameter."""
    with pytest.raises(ValidationFailed) as refusal:
        parse(query)
    return {error["parameter"]: error["code"] for error in refusal.value.errors}


def test_missing_parameters_have_defaults() -> None:
    assert parse("") == Query(limit=20, total=False, name=None, after=None, status=())


def test_each_kind_of_parameter_is_parsed() -> None:
    found = parse("limit=5&total=true&name=a%20b+%C3%A9&after=2026-01-31T12:00:00.5%2B02:00&status=b&status=a&status=b")
    assert found == Query(
        limit=5,
        total=True,
        name="a b é",
        after=datetime(2026, 1, 31, 10, 0, 0, 500_000, tzinfo=UTC),
        status=("a", "b"),
    )
    assert found.after
    assert found.after.tzinfo is UTC
    assert parse("name=").name == ""


@pytest.mark.parametrize("value", ["", "x", "1.0", "1e1", "0x1", "1_0", " 5", "+5", "%D9%A5", "9" * 30, "true"])
def test_integer_must_be_digits(value: str) -> None:
    assert refused(f"limit={value}") == {"limit": "int_parsing"}


def test_integer_out_of_range_reports_the_range() -> None:
    with pytest.raises(ValidationFailed) as refusal:
        parse("limit=101")
    assert refusal.value.errors == [{"parameter": "limit", "detail": "must be at most 100", "code": "less_than_equal"}]
    assert refused("limit=0") == refused("limit=-3") == {"limit": "greater_than_equal"}


@pytest.mark.parametrize("value", ["", "True", "1", "yes", "on", "t"])
def test_boolean_must_be_true_or_false(value: str) -> None:
    assert refused(f"total={value}") == {"total": "bool_parsing"}
    assert not parse("total=false").total


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-31T12:00:00Z",
        "2026-01-31t12:00:00z",
        "2026-01-31 12:00:00Z",
        "2026-01-31T12:00:00.000000-00:00",
        "2026-01-31T14:00:00%2B02:00",
        "2026-01-31T12:00:00.0000000009Z",
    ],
)
def test_rfc_3339_time_is_accepted(value: str) -> None:
    assert parse(f"after={value}").after == datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "now",
        "1769860800",
        "2026-01-31",
        "2026-01-31T12:00Z",
        "2026-01-31T12:00:00+02:00",
        "2026-02-30T12:00:00Z",
        "2026-01-31T25:00:00Z",
        "2026-01-31T12:00:00,5Z",
        "%D9%A2026-01-31T12:00:00Z",
        "0001-01-01T00:00:00%2B01:00",
        "9999-12-31T23:59:59-01:00",
    ],
)
def test_other_times_are_refused(value: str) -> None:
    assert refused(f"after={value}").keys() == {"after"}


def test_time_without_an_offset_is_refused() -> None:
    assert refused("after=2026-01-31T12:00:00") == {"after": "timezone_aware"}


def test_unknown_repeated_and_invalid_parameters_are_reported_together() -> None:
    found = refused("limit=1&limit=2&offset=5&name=a%00b&total=maybe")
    assert found == {"limit": "repeated", "offset": "unknown", "name": "nul_character", "total": "bool_parsing"}


@pytest.mark.parametrize("query", ["name=%ff", "name=%C3", "a=" + "&a=" * 300, "name=\u00e9"])
def test_undecodable_query_is_malformed(query: str) -> None:
    with pytest.raises(MalformedRequest):
        parse(query)


@given(values=st.lists(st.sampled_from("abc")))
def test_order_and_number_of_values_do_not_matter(values: list[str]) -> None:
    assert each_once(tuple(values)) == tuple(sorted(set(values)))


@given(query=st.text(alphabet="abclimt=&%20+;\u00ff\0", max_size=40))
def test_only_problems_are_raised(query: str) -> None:
    with suppress(ValidationFailed, MalformedRequest):
        parse(query)


def test_pairs_keep_their_order_and_repetitions() -> None:
    request = make_request(query="status=b&cursor=x&q=&status=a&q2=%26")
    assert query_pairs(request, without="cursor") == [("status", "b"), ("q", ""), ("status", "a"), ("q2", "&")]


def test_long_queries_are_not_cached() -> None:
    before = _cached_parse.cache_info().currsize
    for number in range(3):
        parse(f"name={number}{'x' * CACHED_LENGTH}")
    assert _cached_parse.cache_info().currsize == before
