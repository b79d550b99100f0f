"""The parts of a resource's schemas that every resource has. items/schemas.py shows how to derive them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from core.api.contract import Described


class Document(Described):
    """The fields that the server sets, beside the content."""

    id: UUID = Field(description="UUIDv7, ordered by creation time.")
    owner_id: UUID
    version: int = Field(ge=1, description="Starts at 1 and increases by 1 with every change. The ETag contains it.")
    created_at: datetime
    updated_at: datetime


class Page(Described):
    """One page of a list."""

    next_cursor: str | None = Field(description="The cursor of the next page; null on the last page.")
    total: int | None = Field(default=None, ge=0, description="The number of matches, only with total=true.")


def as_document(schema: dict[str, Any]) -> None:
    """Mark every field of a document's JSON schema as required: the API always returns all of them."""
    for field in schema["properties"].values():
        field.pop("default", None)
    schema["required"] = list(schema["properties"])


def as_merge_patch(schema: dict[str, Any]) -> None:
    """Turn a body's JSON schema into that of its merge patch, where null resets a field that has a default."""
    required = schema.pop("required", [])
    for name, field in schema["properties"].items():
        field.pop("default", None)
        if name not in required:
            description = field.pop("description", None)
            nullable: dict[str, Any] = {"anyOf": [field.copy(), {"type": "null"}]}
            field.clear()
            field.update(nullable if description is None else {"description": description, **nullable})
