"""Scopes: what an API key may do."""

from typing import Annotated, Any

from pydantic import AfterValidator, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError

_known: set[str] = set()


def declare_scope(scope: str) -> None:
    """Make a scope available to API keys. A route declares its scope by requiring it: `Bearer("items:read")`."""
    _known.add(scope)


def _check(scope: str) -> str:
    if scope not in _known:
        expected = " or ".join(f"'{one}'" for one in sorted(_known))
        raise PydanticCustomError("literal_error", "must be {expected}", {"expected": expected})
    return scope


class _Enumerated:
    """Lists every scope in the OpenAPI document, which is written after all routes have declared theirs."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "enum": sorted(_known)}


Scope = Annotated[str, AfterValidator(_check), _Enumerated()]
