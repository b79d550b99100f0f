"""JSON bodies, with exact errors for integers beyond 64 bits, NUL characters and unpaired surrogates.

orjson rounds such integers and calls such surrogates syntax errors. So `json` parses bodies that may contain them.
"""

import json
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from math import isinf
from typing import Any, NamedTuple, NoReturn

import orjson

from core.http.problems import (
    MAX_ERRORS,
    FieldError,
    MalformedJSON,
    UnsupportedMediaType,
    ValidationFailed,
    json_pointer,
)
from core.http.request import Request

INTEGER_MINIMUM, INTEGER_MAXIMUM = -(2**63), 2**64 - 1
# The same as orjson's limit.
MAX_LEVELS = 1024
# No valid body has this many fields, and reporting 100,000 unknown fields would take most of a second.
MAX_FIELDS = 1000
# Nineteen digits may be an integer beyond 64 bits. \u0000 is a NUL character, \ud8… to \udf… are surrogates.
_SUSPECT = re.compile(rb"[0-9]{19}|\\u0000|\\u[dD][89a-fA-F]")
_REFUSED = re.compile("[\0\ud800-\udfff]")
_JSON = b"application/json"
_MERGE_PATCH = b"application/merge-patch+json"


def parse_body(request: Request) -> Any:
    """Return the JSON value of the body. Raises UnsupportedMediaType, MalformedJSON and ValidationFailed."""
    media_type = request.raw_headers.get(b"content-type", b"")
    if media_type != _JSON:
        essence = media_type.partition(b";")[0].strip().lower()
        if essence != _JSON and not (essence == _MERGE_PATCH and request.method == "PATCH"):
            accepted = {"Accept-Patch": _MERGE_PATCH.decode()} if request.method == "PATCH" else {}
            raise UnsupportedMediaType(headers=accepted)
    coding = request.raw_headers.get(b"content-encoding")
    if coding is not None and coding.lower() != b"identity":
        raise UnsupportedMediaType("The body must be sent without Content-Encoding")
    value = parse_json(request.body)
    if isinstance(value, dict) and len(value) > MAX_FIELDS:
        fault: FieldError = {"pointer": "#", "detail": f"must have at most {MAX_FIELDS} fields", "code": "too_long"}
        raise ValidationFailed(errors=[fault])
    return value


def parse_json(body: bytes) -> Any:
    """Parse one JSON text in UTF-8. Raises MalformedJSON and ValidationFailed."""
    if _SUSPECT.search(body):
        return _parse_carefully(body)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedJSON(f"The body is not JSON: line {error.lineno}, column {error.colno}") from None


def _parse_carefully(body: bytes) -> Any:
    try:
        value = json.loads(body.decode("utf-8"), parse_int=_integer, parse_float=_double, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise MalformedJSON("The body is not JSON or is nested too deeply") from None
    if errors := list(islice(_faults(value), MAX_ERRORS)):
        raise ValidationFailed(f"{len(errors)} values are not valid" if len(errors) > 1 else None, errors=errors)
    return value


class _TooLarge(int):
    """A placeholder for an integer beyond 64 bits, until its location is known."""


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


class _Place(NamedTuple):
    """The place of a value in a body. The list that holds the root has level 0, the root level 1."""

    step: str | int
    level: int
    container: "_Place | None"

    def pointer(self) -> str:
        steps: list[str | int] = []
        place = self
        while place.container is not None and place.level > 1:
            steps.append(place.step)
            place = place.container
        return json_pointer(reversed(steps)).encode("utf-8", "replace").decode()


def _faults(value: Any) -> Iterator[FieldError]:
    # The list makes the root a member like any other.
    waiting: list[tuple[Any, _Place]] = [([value], _Place("", 0, None))]
    for container, place in waiting:
        if place.level > MAX_LEVELS:
            raise MalformedJSON(f"The body is nested more than {MAX_LEVELS} levels deep")
        members: Iterable[tuple[Any, Any]] = enumerate(container)
        if isinstance(container, dict):
            members = container.items()
            for name in filter(_REFUSED.search, container):
                yield _fault(name, place)
        for step, member in members:
            kind = type(member)
            if (kind is dict or kind is list) and member:
                waiting.append((member, _Place(step, place.level + 1, place)))
            elif kind is _TooLarge or (kind is str and _REFUSED.search(member)):
                yield _fault(member, _Place(step, place.level + 1, place))


def _fault(value: int | str, place: _Place) -> FieldError:
    if isinstance(value, int):
        detail, code = "must be an integer of 64 bits", "integer_too_large"
    elif "\0" in value:
        detail, code = "must not contain a NUL character", "nul_character"
    else:
        detail, code = "must not contain an unpaired surrogate", "surrogate"
    return {"pointer": place.pointer(), "detail": detail, "code": code}
