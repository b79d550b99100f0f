"""Problems for requests that pydantic refuses."""

from typing import Any

from pydantic import ValidationError as PydanticError

from core.http.problems import FieldError, ValidationFailed, json_pointer


def validation_problem(faults: list[dict[str, Any]]) -> ValidationFailed:
    """pydantic's faults, each located as ninja or pydantic does, as one problem."""
    errors = [_field_error(fault) for fault in faults]
    count = len(errors)
    return ValidationFailed(
        f"{count} field{'' if count == 1 else 's'} {'is' if count == 1 else 'are'} not valid", errors=errors
    )


def invalid(error: PydanticError) -> ValidationFailed:
    """The problem for a model that was validated by hand; its fields are the body's."""
    return validation_problem([{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors(include_url=False)])


def _field_error(fault: dict[str, Any]) -> FieldError:
    source, *path = fault["loc"]
    detail, code = describe(fault), str(fault["type"])
    if source == "query":
        return {"parameter": str(path[-1]) if path else "", "detail": detail, "code": code}
    return {"pointer": json_pointer(path), "detail": detail, "code": code}


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


def describe(fault: dict[str, Any]) -> str:
    """What is wrong, said to the client; never with the value itself, which may be a secret."""
    if template := MESSAGES.get(fault["type"]):
        return template.format_map(fault.get("ctx") or {})
    message = str(fault["msg"]).removeprefix("Value error, ")
    return message[:1].lower() + message[1:]
