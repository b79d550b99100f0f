"""If-Match and If-None-Match, as RFC 9110 defines them."""

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
def test_if_none_match_contains_the_version(values: list[str]) -> None:
    assert not_modified(make_request(*(("if-none-match", value) for value in values)), entity_tag(3))


@pytest.mark.parametrize("value", ['"2"', '"33"', '"x3"', "3", "", '""', '"*"', "W/3", '"3', '"1, 3"'])
def test_if_none_match_does_not_contain_the_version(value: str) -> None:
    assert not not_modified(make_request(("if-none-match", value)), entity_tag(3))


def test_request_without_condition_passes() -> None:
    assert not not_modified(make_request(), entity_tag(3))
    assert precondition(make_request()) == Precondition()
    Precondition().check(3)


@pytest.mark.parametrize("value", ['"3"', "*", '"1", "3"', '"1","3",', ', "3"', '"é", "3"'])
def test_if_match_contains_the_version(value: str) -> None:
    precondition(make_request(("if-match", value))).check(3)


def test_if_match_may_span_lines() -> None:
    precondition(make_request(("if-match", '"1"'), ("if-match", '"3"'))).check(3)


@pytest.mark.parametrize("value", ['"2"', 'W/"3"', '"1", W/"3"', '"33"', '""', '"w/3"'])
def test_failed_if_match_reports_the_current_version(value: str) -> None:
    with pytest.raises(PreconditionFailed) as refusal:
        precondition(make_request(("if-match", value))).check(3)
    assert refusal.value.headers == {"ETag": '"3"'}
    assert refusal.value.detail == "The current version is 3"


@pytest.mark.parametrize(
    "value", ["", "3", '"3', '3"', '"1" "3"', '"1", *', "*, *", "W/", 'w/"3"', '"a"b"', '"a b"', "\x00"]
)
def test_malformed_if_match_is_refused(value: str) -> None:
    with pytest.raises(InvalidHeader):
        precondition(make_request(("if-match", value)))


@pytest.mark.parametrize("piece", [" , ", "\t,\t", '"1" , ', ",", " "])
def test_long_if_match_takes_linear_time(piece: str) -> None:
    # The short header comes first, so that a pattern with exponential backtracking fails instead of hanging.
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
def test_change_fails_if_if_none_match_contains_the_version(value: str) -> None:
    # RFC 9110, section 13.1.2: methods other than GET and HEAD get 412.
    with pytest.raises(PreconditionFailed) as refusal:
        precondition(make_request(("if-none-match", value))).check(3)
    assert refusal.value.headers == {"ETag": '"3"'}


def test_change_passes_if_if_none_match_does_not_contain_the_version() -> None:
    precondition(make_request(("if-none-match", '"2"'))).check(3)
    precondition(make_request(("if-none-match", '"2"'), ("if-match", '"3"'))).check(3)
