"""JSON bodies: results equal those of `json`, and each kind of invalid value has its own error."""

import json
import math
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.http.json_body import MAX_FIELDS, MAX_LEVELS, parse_body, parse_json
from core.http.problems import MAX_ERRORS, MAX_POINTER_CHARS, MalformedJSON, UnsupportedMediaType, ValidationFailed
from core.http.request import Request

MINIMUM, MAXIMUM = -(2**63), 2**64 - 1
# A suspect body is parsed by `json` instead of orjson. Both must return the same value.
LONG_NUMBER = b"0.12345678901234567890"

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
numbers = st.integers(MINIMUM, MAXIMUM) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=20,
)


def same(one: Any, other: Any) -> bool:
    """Equal values of equal types: 1, 1.0 and true differ, and so do 0.0 and -0.0."""
    if isinstance(one, float) and isinstance(other, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    if isinstance(one, list):
        return type(other) is list and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return type(other) is dict and list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    return type(one) is type(other) and one == other


@given(values, st.booleans(), st.sampled_from([None, 1]))
def test_result_equals_that_of_json(value: Any, is_ascii: bool, indent: int | None) -> None:
    body = json.dumps(value, ensure_ascii=is_ascii, indent=indent).encode()
    assert same(parse_json(body), value)
    assert same(parse_json(b"[" + body + b"," + LONG_NUMBER + b"]")[0], value)


def strict(body: bytes) -> Any:
    """Parse with json, but refuse the extensions that only Python accepts."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    def number(text: str) -> float:
        if math.isinf(value := float(text)):
            raise ValueError(text)
        return value

    return json.loads(body.decode("utf-8"), parse_constant=refuse, parse_float=number)


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from leaves(one)
    else:
        yield value


def is_refused(leaf: Any) -> bool:
    if isinstance(leaf, int):
        return not MINIMUM <= leaf <= MAXIMUM
    return isinstance(leaf, str) and any(one == "\0" or "\ud800" <= one <= "\udfff" for one in leaf)


fragments = st.lists(
    st.sampled_from([
        b"[", b"]", b"{", b"}", b":", b",", b'"', b"\\", b"\\u0000", b"\\ud800", b"\\udc00", b"\\u00e9", b"u", b"-",
        b"0", b"1", b"9" * 18, b"9" * 25, b".5", b"e", b"E+3", b"e999", b"true", b"null", b"NaN", b"Infinity", b" ",
        b"\n", b'"a":', b'"\xc3\xa9"', b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\0", b"\x1f", b'""', b"[]", b"{}",
    ])
).map(b"".join)  # fmt: skip


@given(st.binary() | fragments)
@example(b'["\\ud83d\\ude00"]')
@example(b"[1e400,1234567890123456789]")
@example(b"-")
@example(b"-" + b"9" * 30)
@example(b"\xef\xbb\xbf[]")
@example(b"\xef\xbb\xbf[1234567890123456789]")
def test_any_bytes_are_parsed_like_json_or_refused(body: bytes) -> None:
    try:
        expected = strict(body)
    except ValueError:
        with pytest.raises(MalformedJSON):
            parse_json(body)
        return
    if any(map(is_refused, leaves(expected))):
        with pytest.raises(ValidationFailed):
            parse_json(body)
    else:
        assert same(parse_json(body), expected)


@given(st.integers(-(2**70), 2**70))
@example(MINIMUM)
@example(MINIMUM - 1)
@example(MAXIMUM)
@example(MAXIMUM + 1)
@example(10**19)
@example(-(10**19))
def test_64_bit_integers_are_exact_and_larger_ones_refused(number: int) -> None:
    body = b'{"a": [%d]}' % number
    if MINIMUM <= number <= MAXIMUM:
        assert same(parse_json(body), {"a": [number]})
    else:
        with pytest.raises(ValidationFailed) as refusal:
            parse_json(body)
        assert refusal.value.errors == [
            {"pointer": "#/a/0", "detail": "must be an integer of 64 bits", "code": "integer_too_large"}
        ]


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ('{"name": "a\\u0000b"}', [("#/name", "nul_character")]),
        ('{"a": [1, {"b": "\\ud800"}]}', [("#/a/1/b", "surrogate")]),
        ('{"a": "\\ude00\\ud83d"}', [("#/a", "surrogate")]),
        ('{"a\\u0000": 1, "b": {"\\udfff": 2}}', [("#", "nul_character"), ("#/b", "surrogate")]),
        ('"\\u0000"', [("#", "nul_character")]),
        ("9" * 5000, [("#", "integer_too_large")]),
        ('{"~/": {"": [' + "9" * 21 + "]}}", [("#/~0~1//0", "integer_too_large")]),
        ('{"\\ud800": "\\u0000"}', [("#", "surrogate"), ("#/?", "nul_character")]),
        ('["\\u0000\\ud800", ' + "9" * 20 + "]", [("#/0", "nul_character"), ("#/1", "integer_too_large")]),
    ],
)
def test_faults_are_reported_with_their_pointers(body: str, faults: list[tuple[str, str]]) -> None:
    with pytest.raises(ValidationFailed) as refusal:
        parse_json(body.encode())
    assert [(error["pointer"], error["code"]) for error in refusal.value.errors] == faults


@pytest.mark.parametrize("body", ['"\\\\u0000"', '"\\\\ud800"', '"\\ud83d\\ude00"', "[1234567890.1234567890123456789]"])
def test_values_that_only_look_suspect_are_accepted(body: str) -> None:
    assert same(parse_json(body.encode()), json.loads(body))


def test_last_of_repeated_keys_wins() -> None:
    assert parse_json(b'{"a": 1, "a": 2}') == {"a": 2}
    assert parse_json(b'{"a": "\\ud83d\\ude00", "a": 2}') == {"a": 2}
    assert parse_json(b'{"a": "\\u0000", "a": 2}') == {"a": 2}


@pytest.mark.parametrize(
    "body", [b"1e400", b"-1e400", b"[1e400, 1234567890123456789]", b"NaN", b"[Infinity]", b"-Infinity"]
)
def test_infinite_numbers_are_refused(body: bytes) -> None:
    with pytest.raises(MalformedJSON):
        parse_json(body)


@pytest.mark.parametrize("odd", [b"1", LONG_NUMBER, b'"\\u0000"', b'"\\ud83d\\ude00"'])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
@pytest.mark.parametrize("levels", [MAX_LEVELS + 1, 5_000, 100_000])
@pytest.mark.parametrize("is_closed", [True, False])
def test_deep_nesting_is_refused_quickly(
    odd: bytes, opening: bytes, closing: bytes, levels: int, is_closed: bool
) -> None:
    began = time.thread_time()
    with pytest.raises(MalformedJSON):
        parse_json(opening * levels + odd + closing * (levels if is_closed else 0))
    assert time.thread_time() - began < 1


@pytest.mark.parametrize("odd", [b"1", LONG_NUMBER])
def test_nesting_up_to_the_limit_is_accepted(odd: bytes) -> None:
    value = parse_json(b"[" * MAX_LEVELS + odd + b"]" * MAX_LEVELS)
    for _ in range(MAX_LEVELS):
        [value] = value
    assert value == float(odd)


@pytest.mark.parametrize(
    "body",
    [
        b'["\\u0000"' + b',"\\u0000"' * 100_000 + b"]",
        b"[" + b",".join([b"9" * 20] * 45_000) + b"]",
        b"[" + b"1" * 1_000_000 + b"]",
        b'["' + b"a" * 1_000_000 + b'\\ud800"]',
        b'["\\u0000"' + b",[0]" * 200_000 + b"]",
        (b'{"' + b"k" * 500 + b'":') * 1000 + b'"\\u0000"' + b"}" * 1000,
    ],
)
def test_large_invalid_bodies_are_refused_quickly_with_few_errors(body: bytes) -> None:
    began = time.thread_time()
    with pytest.raises(ValidationFailed) as refusal:
        parse_json(body)
    assert 1 <= len(refusal.value.errors) <= MAX_ERRORS
    assert time.thread_time() - began < 2


def test_message_has_the_position_and_no_part_of_the_body() -> None:
    with pytest.raises(MalformedJSON) as refusal:
        parse_json(b'{"password": "secret",\n oops}')
    assert refusal.value.detail == "The body is not JSON: line 2, column 2"


def request(media_type: bytes | None, method: str = "POST") -> Request:
    scope = {"method": method, "path": "/", "headers": []}
    headers = {} if media_type is None else {b"content-type": media_type}
    return Request(scope, headers, b'{"a": 1}')


@pytest.mark.parametrize(
    "media_type",
    [b"application/json", b"application/json; charset=utf-8", b"Application/JSON", b" application/json ;a=b"],
)
def test_json_media_type_may_have_parameters_and_any_case(media_type: bytes) -> None:
    assert parse_body(request(media_type)) == {"a": 1}


@pytest.mark.parametrize(
    "media_type", [None, b"", b"text/plain", b"application/jsonp", b"application/json, text/plain", b"\xff\xfe"]
)
def test_other_media_types_are_refused(media_type: bytes | None) -> None:
    with pytest.raises(UnsupportedMediaType) as refusal:
        parse_body(request(media_type))
    assert refusal.value.headers == {}


def test_merge_patch_is_accepted_only_for_patch() -> None:
    assert parse_body(request(b"application/merge-patch+json", "PATCH")) == {"a": 1}
    with pytest.raises(UnsupportedMediaType):
        parse_body(request(b"application/merge-patch+json", "PUT"))
    with pytest.raises(UnsupportedMediaType) as refusal:
        parse_body(request(b"text/plain", "PATCH"))
    assert refusal.value.headers == {"Accept-Patch": "application/merge-patch+json"}


def test_content_encoding_is_refused() -> None:
    made = request(b"application/json")
    made.raw_headers[b"content-encoding"] = b"gzip"
    with pytest.raises(UnsupportedMediaType, match="without Content-Encoding"):
        parse_body(made)
    made.raw_headers[b"content-encoding"] = b"Identity"
    assert parse_body(made) == {"a": 1}


def test_body_with_too_many_fields_gets_one_error() -> None:
    def parse(fields: int) -> Any:
        body = json.dumps({f"field-{number}": number for number in range(fields)}).encode()
        scope = {"method": "POST", "path": "/", "headers": [], "query_string": b""}
        return parse_body(Request(scope, {b"content-type": b"application/json"}, body))

    assert len(parse(MAX_FIELDS)) == MAX_FIELDS
    with pytest.raises(ValidationFailed) as refusal:
        parse(MAX_FIELDS + 1)
    assert [error["pointer"] for error in refusal.value.errors] == ["#"]


def test_errors_are_bounded_in_size() -> None:
    path = b'{"' + b'":{"'.join([b"k" * 900] * 1000) + b'":['
    body = path + b",".join([rb'"\u0000"'] * MAX_ERRORS) + b"]" + b"}" * 1000
    with pytest.raises(ValidationFailed) as refusal:
        parse_json(body)
    assert len(refusal.value.errors) == MAX_ERRORS
    assert sum(len(error["pointer"]) for error in refusal.value.errors) <= MAX_ERRORS * MAX_POINTER_CHARS
