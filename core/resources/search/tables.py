"""The searched tables and their columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.apps import apps
from django.db import models

from core.resources.model import Resource, ResourceQuerySet


class SearchedTable(NamedTuple):
    """The table of a resource, and its searched columns."""

    name: str
    columns: tuple[str, ...]

    @classmethod
    def of(cls, rows: ResourceQuerySet[Any]) -> SearchedTable:
        """Return the table of a resource as its queryset declares."""
        return cls.of_fields(rows.model, rows.searched)

    @classmethod
    def of_fields(cls, model: type[models.Model], fields: tuple[str, ...]) -> SearchedTable:
        """Return the table of a model with these fields."""
        options = model._meta
        return cls(options.db_table, tuple(str(options.get_field(field).column) for field in fields))  # type: ignore[union-attr]


def searched_tables() -> Iterator[SearchedTable]:
    """Yield the tables of all searched resources."""
    for model in apps.get_models():
        rows = model._default_manager.all()
        if issubclass(model, Resource) and isinstance(rows, ResourceQuerySet) and rows.searched:
            yield SearchedTable.of(rows)
