"""Pydantic's validation errors as problems."""

from typing import Any

from pydantic import ValidationError as PydanticError

from core.http.problems import FieldError, ValidationFailed, json_pointer

MESSAGES = {
    "missing": "is required",
    "extra_forbidden": "is not a field that can be set here",
    "string_type": "must be a string",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "list_type": "must be a list",
    "string_too_long": "must be at most {max_length} characters",
    "string_too_short": "must be at least {min_length} characters",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "timezone_aware": "must have an offset, such as Z",
}


def validation_problem(faults: list[dict[str, Any]]) -> ValidationFailed:
    """Return one problem for pydantic's errors. Each `loc` starts with "body" or "query"."""
    errors = [_field_error(fault) for fault in faults]
    detail = "1 field is not valid" if len(errors) == 1 else f"{len(errors)} fields are not valid"
    return ValidationFailed(detail, errors=errors)


def invalid(error: PydanticError) -> ValidationFailed:
    """Return the problem for a model that was validated by hand and holds fields of the body."""
    return validation_problem([{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors(include_url=False)])


def describe(fault: dict[str, Any]) -> str:
    """Return the message for one of pydantic's errors. It never repeats the value, which may be a secret."""
    if template := MESSAGES.get(fault["type"]):
        message = template.format_map(fault.get("ctx") or {})
        return message.removesuffix("s") if message.endswith(" 1 characters") else message
    message = str(fault["msg"]).removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _field_error(fault: dict[str, Any]) -> FieldError:
    source, *path = fault["loc"]
    detail, code = describe(fault), str(fault["type"])
    if source == "query":
        return {"parameter": str(path[-1]) if path else "", "detail": detail, "code": code}
    return {"pointer": json_pointer(path), "detail": detail, "code": code}
