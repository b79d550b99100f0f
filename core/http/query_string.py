"""Query strings as pydantic models. Unknown, repeated and malformed parameters are reported by name."""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, get_origin
from urllib.parse import parse_qsl

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ValidationError
from pydantic_core import PydanticCustomError

from core.http.problems import FieldError, MalformedRequest, ValidationFailed
from core.http.request import Request
from core.http.validation import validation_problem

_INTEGER = re.compile(r"-?[0-9]{1,18}")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)
_BOOLEANS = {"true": True, "false": False}


def _integer(text: Any) -> Any:
    if isinstance(text, str) and not _INTEGER.fullmatch(text):
        raise PydanticCustomError("int_parsing", "must be an integer")
    return text


def _boolean(text: Any) -> Any:
    if isinstance(text, str) and text not in _BOOLEANS:
        raise PydanticCustomError("bool_parsing", "must be true or false")
    return _BOOLEANS.get(text, text)


def _instant(text: Any) -> Any:
    if isinstance(text, str):
        found = _RFC3339.fullmatch(text)
        if found is None:
            raise PydanticCustomError("datetime_parsing", "must be a time such as 2026-01-31T12:00:00Z (RFC 3339)")
        if not found[2]:
            raise PydanticCustomError("timezone_aware", "must have an offset, such as Z")
    return text


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("datetime_range", "must be in the years 1 to 9999 in UTC") from None


# pydantic itself accepts more than the OpenAPI document promises: `1_0`, `yes`, a number of seconds.
Integer = Annotated[int, BeforeValidator(_integer)]
Boolean = Annotated[bool, BeforeValidator(_boolean)]
Instant = Annotated[AwareDatetime, BeforeValidator(_instant), AfterValidator(_in_utc)]


def each_once[T: str](values: tuple[T, ...]) -> tuple[T, ...]:
    """Return the values sorted and without duplicates, so that equivalent filters are equal."""
    return tuple(sorted(set(values)))


def parse_query[M: BaseModel](request: Request, model: type[M]) -> M:
    """Parse the query string into a frozen model. Raises ValidationFailed, which names each faulty parameter."""
    query_string = request.scope["query_string"]
    parse = _cached_parse if len(query_string) <= CACHED_LENGTH else _parse
    return parse(query_string, model)  # type: ignore[return-value]


def _parse(query_string: bytes, model: type[BaseModel]) -> BaseModel:
    given, errors = _read(query_string, model)
    parsed = None
    try:
        parsed = model.model_validate(given)
    except ValidationError as error:
        faults = [{**fault, "loc": ("query", fault["loc"][0])} for fault in error.errors(include_url=False)]
        errors += validation_problem(faults).errors
    if parsed is None or errors:
        raise ValidationFailed("Query parameters are not valid", errors=errors)
    return parsed


# Clients repeat the same few queries, and parsing one costs a tenth of a list. The bound limits the cache's memory.
CACHED_LENGTH = 512
_cached_parse = lru_cache(maxsize=1024)(_parse)


def _read(query_string: bytes, model: type[BaseModel]) -> tuple[dict[str, Any], list[FieldError]]:
    """Return the values by parameter, and the errors that do not depend on a type. Lists may be repeated."""
    given: dict[str, Any] = {}
    errors: list[FieldError] = []
    for name, value in _pairs(query_string):
        field = model.model_fields.get(name)
        if field is None:
            errors.append({"parameter": name, "detail": "is not a known parameter", "code": "unknown"})
        elif "\0" in value:
            errors.append({"parameter": name, "detail": "must not contain a NUL character", "code": "nul_character"})
        elif get_origin(field.annotation) in (list, tuple):
            given.setdefault(name, []).append(value)
        elif name in given:
            errors.append({"parameter": name, "detail": "must be given only once", "code": "repeated"})
        else:
            given[name] = value
    return given, errors


def query_pairs(request: Request, *, without: str) -> list[tuple[str, str]]:
    return [(name, value) for name, value in _pairs(request.scope["query_string"]) if name != without]


def _pairs(query_string: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=200)
    except ValueError:
        raise MalformedRequest("The query string is not percent-encoded UTF-8, or has too many parameters") from None
