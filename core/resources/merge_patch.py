"""JSON Merge Patch (RFC 7396)."""

from typing import Any

from pydantic import BaseModel, ValidationError

from core.http.validation import invalid, validation_problem


def merge_patch(target: Any, patch: Any) -> Any:
    """Return the target with the patch applied. Neither argument changes. null removes a member."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    # Not recursive, because a patch may be nested deeper than Python's stack.
    todo = [(merged, patch)]
    while todo:
        into, changes = todo.pop()
        for name, value in changes.items():
            if value is None:
                into.pop(name, None)
            elif isinstance(value, dict):
                old = into.get(name)
                into[name] = dict(old) if isinstance(old, dict) else {}
                todo.append((into[name], value))
            else:
                into[name] = value
    return merged


def check_patch(patch: Any, model: type[BaseModel]) -> None:
    """Raise ValidationFailed unless the patch is an object of fields of the model."""
    # Validating the result is not enough: a merge drops an unknown member whose value is null.
    if not isinstance(patch, dict):
        raise validation_problem([{"type": "dict_type", "loc": ("body",)}])
    unknown = [name for name in patch if name not in model.model_fields]
    if unknown:
        raise validation_problem([{"type": "extra_forbidden", "loc": ("body", name)} for name in unknown])


def patched[M: BaseModel](model: type[M], current: dict[str, Any], patch: dict[str, Any]) -> M:
    """Return the current fields with the patch applied. Null resets a field. Raises ValidationFailed."""
    try:
        return model.model_validate(merge_patch(current, patch))
    except ValidationError as error:
        raise invalid(error) from None
