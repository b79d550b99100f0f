"""The model of a resource: the fields every resource has, and the effects of every change.

The API reads and writes through compiled statements (core/resources/store.py). The rules here also hold for the admin,
a shell and scripts: a save, update or delete through the ORM increments the version and invalidates the cache.
"""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar, Protocol, Self

from django.conf import settings
from django.db import models
from django.db.models import F
from django.db.models.functions import Cast
from django.db.models.signals import post_delete
from django.db.models.utils import create_namedtuple_class
from django.dispatch import receiver

from core.database.case_folding import contains
from core.database.fields import JSONTextField
from core.resources.cache.epoch import turn_on_commit
from core.values import later_than, now, uuid7

# The fields that the server sets, in the order in which a document shows them around the content.
LEADING_FIELDS = ("id",)
TRAILING_FIELDS = ("owner_id", "version", "created_at", "updated_at")
_READ_AS_TEXT = (models.UUIDField, models.DateTimeField, models.ForeignKey, JSONTextField)


class ResourceRow(Protocol):
    """A row as the database returns it, with the resource's content fields. Ids, timestamps and JSON are text."""

    id: str
    owner_id: str
    version: int
    created_at: str
    updated_at: str


class ResourceQuerySet[M: "Resource"](models.QuerySet[M]):
    """Queries that lists and the store make. `searched` names the text fields that `q` searches."""

    searched: ClassVar[tuple[str, ...]]

    def search(self, pattern: models.expressions.Combinable) -> Self:
        """Filter by a LIKE pattern from `containing` that one of the searched fields must match, ignoring case."""
        conditions = [models.Q(contains(field, pattern)) for field in self.searched]
        return self.filter(models.Q(*conditions, _connector=models.Q.OR))

    def as_rows(self) -> models.QuerySet[M, tuple[Any, ...]]:
        """Select the fields of `row_type`, with ids, timestamps and JSON as text."""
        columns = []
        for name in self.model.row_fields():
            is_read_as_text = isinstance(self.model._meta.get_field(name), _READ_AS_TEXT)
            columns.append(Cast(name, models.TextField()) if is_read_as_text else name)
        return self.values_list(*columns)

    def update(self, **values: Any) -> int:
        changed = super().update(**{"version": F("version") + 1, "updated_at": now(), **values})
        turn_on_commit()
        return changed

    update.alters_data = True  # type: ignore[attr-defined]

    def delete(self) -> tuple[int, dict[str, int]]:
        deleted = super().delete()
        turn_on_commit()
        return deleted

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]


class Resource(models.Model):
    """A row that a user owns. Its version counts its changes and is its ETag."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    version = models.PositiveIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(default=now, editable=False)
    updated_at = models.DateTimeField(editable=False)

    class Meta:
        abstract = True

    def save(self, *, update_fields: Any = None, **options: Any) -> None:
        if self._state.adding:
            self.updated_at = getattr(self, "updated_at", None) or self.created_at
            super().save(update_fields=update_fields, **options)
            return
        # The database counts, because another process may have changed the row since this object was read.
        self.version = F("version") + 1
        self.updated_at = later_than(self.updated_at)
        if update_fields is not None:
            update_fields = {*update_fields, "version", "updated_at"}
        super().save(update_fields=update_fields, **options)
        turn_on_commit()

    def delete(self, using: Any = None, keep_parents: bool = False) -> tuple[int, dict[str, int]]:
        deleted = super().delete(using, keep_parents)
        turn_on_commit()
        return deleted

    @classmethod
    @cache
    def content_fields(cls) -> tuple[str, ...]:
        """Return the names of the fields that clients set, which the resource adds to `Resource`."""
        server_fields = {*LEADING_FIELDS, *TRAILING_FIELDS}
        return tuple(field.name for field in cls._meta.concrete_fields if field.attname not in server_fields)

    @classmethod
    def row_fields(cls) -> tuple[str, ...]:
        return (*LEADING_FIELDS, *cls.content_fields(), *TRAILING_FIELDS)

    @classmethod
    @cache
    def row_type(cls, *further: str) -> Any:
        """Return the named tuple of a row (`ResourceRow`), with further columns behind its fields."""
        return create_namedtuple_class(*cls.row_fields(), *further)


@receiver(post_delete, sender=settings.AUTH_USER_MODEL, dispatch_uid="core.resources.model")
def _forget_owned(**_: Any) -> None:
    # A receiver on each resource would make Django fetch every row that the database deletes by cascade.
    turn_on_commit()
