"""The item: what it holds, in what order it is listed."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, NamedTuple

from django.core.validators import MinLengthValidator
from django.db import models

from core.database.fields import JSONTextField
from core.resources.model import Resource, ResourceQuerySet

NAME_MAX_LENGTH, DESCRIPTION_MAX_LENGTH = 200, 5000


class ItemRow(NamedTuple):
    """An item as `ItemQuerySet.as_rows` reads it: metadata is compact JSON, ids and times are the database's text.

    A time may also be one that has not been stored yet.
    """

    id: str
    name: str
    description: str
    status: str
    metadata: str
    owner_id: str
    version: int
    created_at: str | datetime
    updated_at: str | datetime


class ItemQuerySet(ResourceQuerySet["Item"]):
    """Items, for lists and services."""

    searched = ("name", "description")
    row = ItemRow._fields


class Item(Resource):
    """A named thing with free-form metadata, owned by the user who made it."""

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
