"""The item: what it holds, in what order it is listed, who sees it."""

from __future__ import annotations

from typing import ClassVar, Self

from django.conf import settings
from django.core.validators import MinLengthValidator
from django.db import models
from django.db.models.functions import Cast

from core.database.fields import JSONTextField
from core.database.search import contains
from core.identifiers import uuid7

NAME_MAX_LENGTH, DESCRIPTION_MAX_LENGTH = 200, 5000


class ItemQuerySet(models.QuerySet["Item"]):
    """Filters that are used in more than one place."""

    def search(self, pattern: models.expressions.Combinable) -> Self:
        """Items with the text in their name or description; `pattern` as `containing` makes it."""
        return self.filter(models.Q(contains("name", pattern)) | models.Q(contains("description", pattern)))

    def as_rows(self) -> models.QuerySet["Item", tuple[str, ...]]:
        """What `items.representation` makes JSON of; ids and times as the database writes them."""
        text = models.TextField()
        return self.values_list(
            Cast("id", text), "name", "description", "status", Cast("metadata", text), Cast("owner_id", text),
            "version", Cast("created_at", text), Cast("updated_at", text),
        )  # fmt: skip


class Item(models.Model):
    """A named thing with free-form metadata, owned by the user who made it."""

    class Status(models.TextChoices):
        DRAFT = "draft"
        ACTIVE = "active"
        ARCHIVED = "archived"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=NAME_MAX_LENGTH, validators=[MinLengthValidator(1)])
    description = models.TextField(max_length=DESCRIPTION_MAX_LENGTH, default="", blank=True)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.ACTIVE)
    metadata = JSONTextField(default=dict, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="items", db_index=False
    )
    version = models.PositiveIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(editable=False)
    updated_at = models.DateTimeField(editable=False)

    objects: ClassVar[models.Manager["Item"]] = ItemQuerySet.as_manager()

    class Meta:
        db_table = "item"
        ordering = ("-created_at", "-id")
        # Each sort of a list is one walk along an index: an owner's, and for staff everybody's.
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["owner", "created_at", "id"], name="item_owner_created"),
            models.Index(fields=["owner", "updated_at", "id"], name="item_owner_updated"),
            models.Index(fields=["owner", "name", "id"], name="item_owner_name"),
            models.Index(fields=["owner", "status", "created_at", "id"], name="item_owner_status_created"),
            models.Index(fields=["created_at", "id"], name="item_created"),
            models.Index(fields=["updated_at", "id"], name="item_updated"),
            models.Index(fields=["name", "id"], name="item_name"),
        ]

    def __str__(self) -> str:
        return self.name

