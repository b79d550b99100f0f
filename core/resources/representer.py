"""A resource as JSON: from a row straight to bytes, without a model instance in between."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import orjson
from django.db import models

from core.database.fields import JSONTextField
from core.resources.cache.representations import Representation
from core.resources.model import Resource, ResourceRow
from core.values import canonical_uuid, rfc3339

# Most rows of a page have the same owner.
_canonical_owner = lru_cache(maxsize=4096)(canonical_uuid)


class Representer:
    """Turns rows of one resource into documents."""

    def __init__(self, model: type[Resource]) -> None:
        self._fields = model.row_fields()
        self._conversions = [
            (name, conversion)
            for name in self._fields
            if (conversion := _conversion_of(model._meta.get_field(name))) is not None
        ]

    def document(self, row: ResourceRow) -> dict[str, Any]:
        """Return the row as the dictionary that orjson serializes to the API's document."""
        # A row may have further columns behind its fields.
        document = dict(zip(self._fields, row, strict=False))  # type: ignore[call-overload]  # rows are named tuples
        for name, convert in self._conversions:
            if document[name] is not None:
                document[name] = convert(document[name])
        return document

    def to_json(self, row: ResourceRow) -> bytes:
        """Return the row as the API's JSON."""
        return orjson.dumps(self.document(row))

    def represent(self, row: ResourceRow) -> Representation:
        """Return the row as it is sent and cached."""
        return Representation(row.version, _canonical_owner(row.owner_id), self.to_json(row))


def _conversion_of(field: Any) -> Callable[[Any], Any] | None:
    """Return the function that turns the database's text into the API's, or None if they are equal."""
    if isinstance(field, models.ForeignKey):
        return _canonical_owner
    if isinstance(field, models.UUIDField):
        return canonical_uuid
    if isinstance(field, models.DateTimeField):
        return rfc3339
    if isinstance(field, JSONTextField):
        return orjson.Fragment
    return None
