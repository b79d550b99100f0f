"""If-Match and If-None-Match, by the letter of RFC 9110."""

import time

import pytest
from pytest_django import Settings

from core.http.conditional import Precondition, entity_tag, not_modified, precondition
from core.http.problems import InvalidHeader, PreconditionFailed, PreconditionRequired
from tests.core.requests import make_request


@pytest.mark.parametrize(
    "values",
    [
        ['"3"'],
        ['W/"3"'],
        ["*"],
        [' "3" '],
        ['"1", "3"'],
        ['"1","2" ,  W/"3"'],
        ['"a,b", "3"'],
        ['"1"', '"3"'],
    ],
)
def test_if_none_match_that_holds_the_version(values: list[str]) -> None:
    assert not_modified(make_request(*(("if-none-match", value) for value in values)), entity_tag(3))


@pytest.mark.parametrize("value", ['"2"', '"33"', '"x3"', "3", "", '""', '"*"', "W/3", '"3', '"1, 3"'])
def test_if_none_match_that_does_not(value: str) -> None:
    assert not not_modified(make_request(("if-none-match", value)), entity_tag(3))


def test_no_condition_is_none() -> None:
    assert not not_modified(make_request(), entity_tag(3))
    assert precondition(make_request()) == Precondition()
    Precondition().check(3)


@pytest.mark.parametrize("value", ['"3"', "*", '"1", "3"', '"1","3",', ', "3"', '"é", "3"'])
def test_if_match_that_holds(value: str) -> None:
    precondition(make_request(("if-match", value))).check(3)


def test_if_match_may_be_spread_over_lines() -> None:
    precondition(make_request(("if-match", '"1"'), ("if-match", '"3"'))).check(3)


@pytest.mark.parametrize("value", ['"2"', 'W/"3"', '"1", W/"3"', '"33"', '""', '"w/3"'])
def test_if_match_that_fails_tells_the_version(value: str) -> None:
    with pytest.raises(PreconditionFailed) as refusal:
        precondition(make_request(("if-match", value))).check(3)
    assert refusal.value.headers == {"ETag": '"3"'}
    assert refusal.value.detail == "The current version is 3"


@pytest.mark.parametrize(
    "value", ["", "3", '"3', '3"', '"1" "3"', '"1", *', "*, *", "W/", 'w/"3"', '"a"b"', '"a b"', "\x00"]
)
def test_if_match_that_is_malformed(value: str) -> None:
    with pytest.raises(InvalidHeader):
        precondition(make_request(("if-match", value)))


@pytest.mark.parametrize("piece", [" , ", "\t,\t", '"1" , ', ",", " "])
def test_long_if_match_takes_time_in_proportion(piece: str) -> None:
    # Few at first, so that a pattern that tries all ways to read them fails here rather than hangs below.
    for count in (14, 60_000 // len(piece)):
        began = time.perf_counter()
        with pytest.raises(InvalidHeader):
            precondition(make_request(("if-match", '"1"' + piece * count + "x")))
        assert time.perf_counter() - began < 0.5


def test_if_match_can_be_required(settings: Settings) -> None:
    settings.REQUIRE_IF_MATCH = True
    with pytest.raises(PreconditionRequired):
        precondition(make_request()).check(3)
    precondition(make_request(("if-match", "*"))).check(3)


@pytest.mark.parametrize("value", ["*", '"3"', 'W/"3"', '"1", "3"'])
def test_change_with_an_if_none_match_that_holds_fails(value: str) -> None:
    # RFC 9110, section 13.1.2: for other methods than GET and HEAD it is 412.
    with pytest.raises(PreconditionFailed) as refusal:
        precondition(make_request(("if-none-match", value))).check(3)
    assert refusal.value.headers == {"ETag": '"3"'}


def test_change_with_an_if_none_match_that_does_not_hold_goes_on() -> None:
    precondition(make_request(("if-none-match", '"2"'))).check(3)
    precondition(make_request(("if-none-match", '"2"'), ("if-match", '"3"'))).check(3)
