"""The model of an item, with the indexes that its lists need."""

from __future__ import annotations

from typing import ClassVar

from django.core.validators import MinLengthValidator
from django.db import models

from core.database.fields import JSONTextField
from core.resources.model import Resource, ResourceQuerySet

NAME_MAX_LENGTH, DESCRIPTION_MAX_LENGTH = 200, 5000


class ItemQuerySet(ResourceQuerySet["Item"]):
    """Queries for items."""

    searched = ("name", "description")


class Item(Resource):
    """A name, a description, a status and free-form metadata."""

    class Status(models.TextChoices):
        DRAFT = "draft"
        ACTIVE = "active"
        ARCHIVED = "archived"

    name = models.CharField(max_length=NAME_MAX_LENGTH, validators=[MinLengthValidator(1)])
    description = models.TextField(max_length=DESCRIPTION_MAX_LENGTH, default="", blank=True)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.ACTIVE)
    metadata = JSONTextField(default=dict, blank=True)

    objects: ClassVar[models.Manager[Item]] = models.Manager.from_queryset(ItemQuerySet)()

    class Meta:
        db_table = "item"
        ordering = ("-created_at", "-id")
        # A list reads an index in order: the owner's for users, the last three for staff.
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
