"""The fields of an item and their rules; what clients send and receive."""

from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from core.http.query_string import Instant, each_once
from core.resources.lists.listing import ListQuery
from core.resources.schemas import Document, Page, as_document, as_merge_patch
from items.models import DESCRIPTION_MAX_LENGTH, NAME_MAX_LENGTH

METADATA_MAX_BYTES, METADATA_MAX_LEVELS = 16 * 1024, 16

type Status = Literal["draft", "active", "archived"]
type Sort = Literal["created_at", "-created_at", "updated_at", "-updated_at", "name", "-name"]


def _levels(value: Any) -> int:
    """Count the levels of nested arrays and objects. The value itself is level 1."""
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if members is None else 1 + max(map(_levels, members), default=0)


def _check_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    if metadata:
        try:
            size = len(orjson.dumps(metadata))
        except TypeError:  # orjson refuses more than 254 levels
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


class ItemContent(BaseModel):
    """The fields that clients set. An omitted optional field has its default."""

    name: Name
    description: Description = ""
    status: Status = "active"
    metadata: Metadata = Field(default_factory=dict)


class ItemIn(ItemContent):
    """The content of an item: a new one, or the replacement of an existing one."""

    model_config = ConfigDict(extra="forbid")


class ItemPatch(ItemIn):
    """A JSON Merge Patch (RFC 7396) of an item. null resets a field to its default, and removes keys of metadata."""

    model_config = ConfigDict(json_schema_extra=as_merge_patch)


class ItemOut(Document, ItemContent):
    """An item."""

    model_config = ConfigDict(json_schema_extra=as_document)


class ItemPage(Page):
    """One page of a list of items."""

    items: list[ItemOut]


class ItemQuery(ListQuery):
    """The query of a list of items."""

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
