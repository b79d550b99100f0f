"""JSON bodies: read fast where nothing is odd, with care where something is.

orjson turns integers beyond 64 bits into doubles and calls an unpaired surrogate a syntax error; the contract wants
both told as what they are. Bodies in which they may occur, found by a regular expression, take the careful way.
"""

import json
import re
from math import isinf
from typing import Any, NoReturn

import orjson

from core.errors import FieldError, MalformedJSON, UnsupportedMediaType, ValidationFailed
from core.request import Request

INTEGER_MINIMUM, INTEGER_MAXIMUM = -(2**63), 2**64 - 1
MAX_LEVELS = 200
# Nineteen digits in a row may be an integer beyond 64 bits; \u0000 is a NUL, \ud8… to \udf… a surrogate.
_ODD = re.compile(rb"[0-9]{19}|\\u0000|\\u[dD][89a-fA-F]")
_JSON = b"application/json"
_MERGE_PATCH = b"application/merge-patch+json"


def parse_body(request: Request) -> Any:
    """The body's JSON value.

    Raises UnsupportedMediaType, MalformedJSON, and ValidationFailed for integers beyond 64 bits, NUL characters
    and unpaired surrogates.
    """
    media_type = request.raw_headers.get(b"content-type", b"")
    if media_type != _JSON:
        essence = media_type.partition(b";")[0].strip().lower()
        if essence != _JSON and not (essence == _MERGE_PATCH and request.method == "PATCH"):
            raise UnsupportedMediaType(headers={"Accept-Patch": _MERGE_PATCH.decode()} if request.method == "PATCH" else {})
    return parse_json(request.body)


def parse_json(body: bytes) -> Any:
    """One JSON text in UTF-8; raises as parse_body does."""
    if _ODD.search(body):
        return _parse_carefully(body)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # The message names the place, and never repeats the body.
        raise MalformedJSON(f"The body is not JSON: line {error.lineno}, column {error.colno}") from None


def _parse_carefully(body: bytes) -> Any:
    try:
        value = json.loads(body.decode("utf-8"), parse_int=_integer, parse_float=_double, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise MalformedJSON("The body is not JSON, or is nested too deeply") from None
    if errors := list(_odd_values(value, "#", 0)):
        raise ValidationFailed(f"{len(errors)} values are not valid" if len(errors) > 1 else None, errors=errors)
    return value


class _TooLarge(int):
    """Stands for an integer that does not fit, until its place is known."""


def _integer(digits: str) -> int:
    if len(digits) > 20:
        return _TooLarge()
    number = int(digits)
    return number if INTEGER_MINIMUM <= number <= INTEGER_MAXIMUM else _TooLarge()


def _double(text: str) -> float:
    if isinf(number := float(text)):
        raise ValueError("too large for a double")
    return number


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _odd_values(value: Any, place: str, level: int) -> list[FieldError]:
    """What JSON allows and this service refuses, with its place."""
    if isinstance(value, _TooLarge):
        return [{"pointer": place, "detail": "must be an integer of 64 bits", "code": "integer_too_large"}]
    if isinstance(value, str):
        return _odd_text(value, place)
    if level == MAX_LEVELS:
        raise MalformedJSON(f"The body is nested more than {MAX_LEVELS} levels deep")
    found: list[FieldError] = []
    if isinstance(value, dict):
        for name, member in value.items():
            step = name.replace("~", "~0").replace("/", "~1").encode("utf-8", "replace").decode()
            found += _odd_text(name, place) + _odd_values(member, f"{place}/{step}", level + 1)
    elif isinstance(value, list):
        for index, member in enumerate(value):
            found += _odd_values(member, f"{place}/{index}", level + 1)
    return found


def _odd_text(text: str, place: str) -> list[FieldError]:
    if "\0" in text:
        return [{"pointer": place, "detail": "must not contain a NUL character", "code": "nul_character"}]
    if any("\ud800" <= character <= "\udfff" for character in text):
        return [{"pointer": place, "detail": "must not contain an unpaired surrogate", "code": "surrogate"}]
    return []
