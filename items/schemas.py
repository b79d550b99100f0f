"""What clients send and get."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from core.api.contract import Described
from core.http.query_string import Instant, each_once
from core.resources.lists.listing import ListQuery
from items.models import DESCRIPTION_MAX_LENGTH, NAME_MAX_LENGTH

METADATA_MAX_BYTES, METADATA_MAX_LEVELS = 16 * 1024, 16

type Status = Literal["draft", "active", "archived"]
type Sort = Literal["created_at", "-created_at", "updated_at", "-updated_at", "name", "-name"]


def _levels(value: Any) -> int:
    """How deep arrays and objects are nested, the value itself included."""
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if members is None else 1 + max(map(_levels, members), default=0)


def _check_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    if metadata:
        try:
            size = len(orjson.dumps(metadata))
        except TypeError:  # orjson's own limit of levels
            size = 0
        if size > METADATA_MAX_BYTES:
            raise PydanticCustomError("metadata_too_large", "must be at most 16 KiB as compact JSON")
        if not size or _levels(metadata) > METADATA_MAX_LEVELS:
            raise PydanticCustomError("metadata_too_deep", "must be at most 16 levels deep")
    return metadata


Name = Annotated[
    str,
    StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=NAME_MAX_LENGTH),
    Field(description="Trimmed.", examples=["Quarterly report"], json_schema_extra={"pattern": r"\S"}),
]
Description = Annotated[str, StringConstraints(strict=True, max_length=DESCRIPTION_MAX_LENGTH)]
Metadata = Annotated[
    dict[str, Any],
    AfterValidator(_check_metadata),
    Field(description="Any JSON object of at most 16 KiB and 16 levels.", examples=[{"team": "research"}]),
]


class ItemIn(BaseModel):
    """A new item, or all that replaces one: what is left out has its default."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    name: Name
    description: Description = ""
    status: Status = "active"
    metadata: Metadata = Field(default_factory=dict)


def _without_defaults(schema: dict[str, Any]) -> None:
    """What is left out of a patch stays what it was."""
    for field in schema["properties"].values():
        field.pop("default", None)


class ItemPatch(Described):
    """A JSON Merge Patch (RFC 7396) of an item: null puts a field back to its default, within metadata it removes."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_without_defaults)

    name: Name = ""
    description: Description | None = None
    status: Status | None = None
    metadata: Annotated[dict[str, Any] | None, Field(description="Merged into the metadata, at every level.")] = None


class ItemOut(Described):
    """An item."""

    id: UUID = Field(description="UUIDv7, ordered by time.")
    name: str
    description: str
    status: Status
    metadata: dict[str, Any]
    owner_id: UUID
    version: int = Field(ge=1, description="1, and one more with every change; the ETag holds it.")
    created_at: datetime
    updated_at: datetime


class ItemPage(Described):
    """One page of a list."""

    items: list[ItemOut]
    next_cursor: str | None = Field(description="The cursor of the next page, null on the last one.")
    total: int | None = Field(default=None, ge=0, description="How many items match; only with total=true.")


class ItemQuery(ListQuery):
    """How a list is asked for."""

    sort: Sort = Field("-created_at", description="- for descending.")
    status: Annotated[tuple[Status, ...], AfterValidator(each_once)] = Field(
        (), description="One or several, by repeating the parameter."
    )
    name: str | None = Field(None, description="Exactly this name.")
    q: str | None = Field(None, max_length=200, description="In the name or description, whatever the case.")
    created_after: Instant | None = Field(None, description="RFC 3339 with an offset, exclusive.")
    created_before: Instant | None = Field(None, description="RFC 3339 with an offset, exclusive.")
    updated_after: Instant | None = Field(None, description="RFC 3339 with an offset, exclusive.")
    updated_before: Instant | None = Field(None, description="RFC 3339 with an offset, exclusive.")
