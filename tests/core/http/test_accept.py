"""The Accept header: ranges, weights, specificity and malformed values."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.http.accept import accepts, prefers, quality

JSON, HTML = "application/json", "text/html"
CHROMIUM = b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    "header",
    [
        None,
        b"",
        b"*/*",
        b"application/json",
        b"application/*",
        b"APPLICATION/JSON",
        b"application/json;charset=utf-8",
        b"application/json;indent=2;q=0.1",
        b"text/html, application/json;q=0.001",
        b"text/html, */*;q=0.1",
        b"text/html , application/json ; q=0.5",
        b"text/html;q=0, application/json",
        b"*/*;q=0, application/json;q=0.1",
        b'text/html;note="a, b", application/json',
        b"garbage",
        b", ,",
        b"\xff\xfe",
        CHROMIUM,
    ],
)
def test_json_is_accepted(header: bytes | None) -> None:
    assert accepts(header, JSON)


@pytest.mark.parametrize(
    "header",
    [
        b"text/html",
        b"application/xml, image/*;q=0.5",
        b"application/json;q=0",
        b"application/json;q=0.000, */*",
        b"application/*;q=0, */*",
        b"*/*;q=0",
        b"application/problem+json",
        b"application/jsonp",
        b"text/html, garbage",
    ],
)
def test_json_is_not_accepted(header: bytes) -> None:
    assert not accepts(header, JSON)


@pytest.mark.parametrize("weight", ["2", "-1", "0.1234", "1.001", "a", "", ".5", "0,5", "1e0", "\u0661"])
def test_range_with_a_malformed_weight_is_ignored(weight: str) -> None:
    assert not accepts(f"application/json;q={weight}, text/html".encode(), JSON)


@pytest.mark.parametrize("header", [b"*/json", b"a/b/c", b"/json", b"application/", b"application json"])
def test_malformed_range_is_ignored(header: bytes) -> None:
    assert not accepts(header + b", text/html", JSON)


def test_the_most_specific_range_decides() -> None:
    header = b"*/*;q=0.1, application/*;q=0.2, application/json;q=0.3"
    assert quality(header, JSON) == 0.3
    assert quality(header, "application/xml") == 0.2
    assert quality(header, HTML) == 0.1


def test_highest_weight_of_equal_ranges_counts() -> None:
    assert quality(b"application/json;q=0.2, application/json;v=1;q=0.7", JSON) == 0.7


def test_only_browsers_prefer_html() -> None:
    assert prefers(CHROMIUM, HTML, over=JSON)
    for header in (None, b"*/*", JSON.encode(), b"text/html, application/json", b"text/html;q=0.5, */*"):
        assert not prefers(header, HTML, over=JSON)


@given(st.binary(max_size=400))
def test_no_header_raises(header: bytes) -> None:
    assert 0 <= quality(header, JSON) <= 1


def test_cache_is_bounded() -> None:
    for number in range(100):
        accepts(b"a/b%d" % number, JSON)
    assert quality.cache_info().currsize == 64


@pytest.mark.parametrize("piece", [b'"', b'\\"', b"a/b;q=1,", b";", b",", b"a/b;a=", b"*", b" "])
def test_long_header_takes_linear_time(piece: bytes) -> None:
    began = time.perf_counter()
    accepts(piece * (64 * 1024 // len(piece)), JSON)
    assert time.perf_counter() - began < 1
