"""The model of a resource: what each has beside its own fields, and what each change of one brings along.

The API's own reads and writes are compiled statements (see a resource's services). What is here also holds for the
admin, a shell and scripts: a save, update or delete by the ORM counts the version up and voids the cache's entries.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import F
from django.db.models.functions import Cast
from django.db.models.signals import post_delete
from django.dispatch import receiver

from core.database.case_folding import contains
from core.database.fields import JSONTextField
from core.resources.cache.epoch import turn_on_commit
from core.values import later_than, now, uuid7

_AS_TEXT = (models.UUIDField, models.DateTimeField, models.ForeignKey, JSONTextField)


class ResourceQuerySet[M: "Resource"](models.QuerySet[M]):
    """What lists and services ask for."""

    searched: ClassVar[tuple[str, ...]]
    """The text fields that `search` looks into."""
    row: ClassVar[tuple[str, ...]]
    """The fields of a row as `as_rows` gives it."""

    def search(self, pattern: models.expressions.Combinable) -> Self:
        """Those with a text in one of their searched fields; `pattern` as `containing` makes it."""
        found = models.Q()
        for field in self.searched:
            found |= models.Q(contains(field, pattern))
        return self.filter(found)

    def as_rows(self) -> models.QuerySet[M, tuple[Any, ...]]:
        """What representations are made of: ids, times and JSON as the database writes them."""
        columns = []
        for name in self.row:
            is_cast = isinstance(self.model._meta.get_field(name), _AS_TEXT)
            columns.append(Cast(name, models.TextField()) if is_cast else name)
        return self.values_list(*columns)

    def update(self, **values: Any) -> int:
        """A change of each row: its version and time go with it, unless they are among the values."""
        changed = super().update(**{"version": F("version") + 1, "updated_at": now(), **values})
        turn_on_commit()
        return changed

    update.alters_data = True  # type: ignore[attr-defined]

    def delete(self) -> tuple[int, dict[str, int]]:
        """Deletes the rows, and has no cache show them any more."""
        deleted = super().delete()
        turn_on_commit()
        return deleted

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]


class Resource(models.Model):
    """Something that users own. Its version counts its changes, and is its ETag."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    version = models.PositiveIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(default=now, editable=False)
    updated_at = models.DateTimeField(editable=False)

    class Meta:
        abstract = True

    def save(self, *, update_fields: Any = None, **options: Any) -> None:
        """Stores it; of what is there already, as its next version."""
        if self._state.adding:
            self.updated_at = getattr(self, "updated_at", None) or self.created_at
            super().save(update_fields=update_fields, **options)
            return
        # Counted by the database: what this object knows may be out of date.
        self.version = F("version") + 1
        self.updated_at = later_than(self.updated_at)
        if update_fields is not None:
            update_fields = {*update_fields, "version", "updated_at"}
        super().save(update_fields=update_fields, **options)
        turn_on_commit()

    def delete(self, using: Any = None, keep_parents: bool = False) -> tuple[int, dict[str, int]]:
        """Deletes it, and has no cache show it any more."""
        deleted = super().delete(using, keep_parents)
        turn_on_commit()
        return deleted


@receiver(post_delete, sender=settings.AUTH_USER_MODEL, dispatch_uid="core.resources.model")
def _forget_owned(**_: Any) -> None:
    """When a user is deleted, no cache shows any more what they owned: the database's cascade has deleted it.

    A receiver for the resources themselves would have Django fetch each of them before it deletes them.
    """
    turn_on_commit()
