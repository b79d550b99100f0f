"""Query strings: what is wrong is told by the parameter's name."""

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
    """What is refused, by its name, with the code."""
    with pytest.raises(ValidationFailed) as refusal:
        parse(query)
    return {error["parameter"]: error["code"] for error in refusal.value.errors}


def test_what_is_left_out_has_its_default() -> None:
    assert parse("") == Query(limit=20, total=False, name=None, after=None, status=())


def test_every_kind_of_parameter() -> None:
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
def test_integer_is_written_in_digits(value: str) -> None:
    assert refused(f"limit={value}") == {"limit": "int_parsing"}


def test_integer_out_of_range_is_told_with_its_range() -> None:
    with pytest.raises(ValidationFailed) as refusal:
        parse("limit=101")
    assert refusal.value.errors == [{"parameter": "limit", "detail": "must be at most 100", "code": "less_than_equal"}]
    assert refused("limit=0") == refused("limit=-3") == {"limit": "greater_than_equal"}


@pytest.mark.parametrize("value", ["", "True", "1", "yes", "on", "t"])
def test_boolean_is_true_or_false(value: str) -> None:
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
def test_time_of_rfc_3339(value: str) -> None:
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
def test_what_is_no_such_time(value: str) -> None:
    assert refused(f"after={value}").keys() == {"after"}


def test_time_without_an_offset() -> None:
    assert refused("after=2026-01-31T12:00:00") == {"after": "timezone_aware"}


def test_unknown_repeated_and_unclean_parameters_are_told_together() -> None:
    found = refused("limit=1&limit=2&offset=5&name=a%00b&total=maybe")
    assert found == {"limit": "repeated", "offset": "unknown", "name": "nul_character", "total": "bool_parsing"}


@pytest.mark.parametrize("query", ["name=%ff", "name=%C3", "a=" + "&a=" * 300, "name=\u00e9"])
def test_query_that_is_no_text_is_malformed(query: str) -> None:
    with pytest.raises(MalformedRequest):
        parse(query)


@given(values=st.lists(st.sampled_from("abc")))
def test_values_mean_the_same_in_any_order_and_number(values: list[str]) -> None:
    assert each_once(tuple(values)) == tuple(sorted(set(values)))


@given(query=st.text(alphabet="abclimt=&%20+;\u00ff\0", max_size=40))
def test_nothing_but_problems_is_raised(query: str) -> None:
    with suppress(ValidationFailed, MalformedRequest):
        parse(query)


def test_pairs_keep_their_order_and_repetitions() -> None:
    request = make_request(query="status=b&cursor=x&q=&status=a&q2=%26")
    assert query_pairs(request, without="cursor") == [("status", "b"), ("q", ""), ("status", "a"), ("q2", "&")]


def test_long_queries_are_not_remembered() -> None:
    before = _cached_parse.cache_info().currsize
    for number in range(3):
        parse(f"name={number}{'x' * CACHED_LENGTH}")
    assert _cached_parse.cache_info().currsize == before
