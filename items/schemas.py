"""The fields of an item and their rules; what clients send and receive."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from core.http.query_string import Instant, each_once
from core.resources.lists.listing import ListQuery
from core.resources.metadata import Metadata
from core.resources.schemas import Document, Page, as_document, as_merge_patch
from items.models import DESCRIPTION_MAX_LENGTH, NAME_MAX_LENGTH

type Status = Literal["draft", "active", "archived"]
type Sort = Literal["created_at", "-created_at", "updated_at", "-updated_at", "name", "-name"]


Name = Annotated[
    str,
    StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=NAME_MAX_LENGTH),
    Field(
        description="Leading and trailing spaces are removed.",
        examples=["Quarterly report"],
        json_schema_extra={"pattern": r"\S"},
    ),
]
Description = Annotated[str, StringConstraints(strict=True, max_length=DESCRIPTION_MAX_LENGTH)]


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
    """A JSON Merge Patch (RFC 7396) of an item.

    null returns a field to its default, and removes a key of metadata.
    """

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
