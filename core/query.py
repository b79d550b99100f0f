"""Query strings as models: unknown, repeated and malformed parameters are told by name."""

from functools import lru_cache
from typing import Any, get_origin
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError

from core.api import validation_problem
from core.errors import FieldError, MalformedRequest, ValidationFailed
from core.request import Request


def parse_query[M: BaseModel](request: Request, model: type[M]) -> M:
    """The query string as a (frozen) model, whose list fields may be repeated.

    Raises ValidationFailed naming each parameter that is unknown, repeated or not valid.
    """
    return _parse(request.scope["query_string"], model)  # type: ignore[return-value]


# Clients ask the same pages over and over; the models are frozen, so they can share one.
@lru_cache(maxsize=1024)
def _parse(query_string: bytes, model: type[BaseModel]) -> BaseModel:
    try:
        pairs = parse_qsl(query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=200)
    except ValueError:
        raise MalformedRequest("The query string is not percent-encoded UTF-8, or has too many parts") from None
    given: dict[str, Any] = {}
    errors: list[FieldError] = []
    for name, value in pairs:
        field = model.model_fields.get(name)
        if field is not None and get_origin(field.annotation) in (list, tuple):
            given.setdefault(name, []).append(value)
        elif name in given:
            errors.append({"parameter": name, "detail": "must be given once only", "code": "repeated"})
        elif "\0" in value:
            errors.append({"parameter": name, "detail": "must not contain a NUL character", "code": "nul_character"})
        else:
            given[name] = value
    try:
        parsed = model.model_validate(given)
    except ValidationError as error:
        faults = [{**fault, "loc": ("query", fault["loc"][0])} for fault in error.errors(include_url=False)]
        errors += validation_problem(faults).errors
    if errors:
        raise ValidationFailed("Query parameters are not valid", errors=errors)
    return parsed


def query_pairs(request: Request, *, without: str) -> list[tuple[str, str]]:
    """The query's parameters in their order, but one."""
    pairs = parse_qsl(request.scope["query_string"].decode("ascii"), keep_blank_values=True)
    return [(name, value) for name, value in pairs if name != without]
