"""Which tables are searched, by which columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.apps import apps
from django.db import models

from core.resources.model import Resource, ResourceQuerySet


class SearchedTable(NamedTuple):
    """The table of a resource, and the columns of the text that is searched."""

    name: str
    columns: tuple[str, ...]

    @classmethod
    def of(cls, rows: ResourceQuerySet[Any]) -> SearchedTable:
        """The table of a resource, as its queryset declares."""
        return cls.of_fields(rows.model, rows.searched)

    @classmethod
    def of_fields(cls, model: type[models.Model], fields: tuple[str, ...]) -> SearchedTable:
        """The table of a model, by names of its fields."""
        options = model._meta
        return cls(options.db_table, tuple(str(options.get_field(field).column) for field in fields))  # type: ignore[union-attr]


def searched_tables() -> Iterator[SearchedTable]:
    """Those of all resources that are searched."""
    for model in apps.get_models():
        rows = model._default_manager.all()
        if issubclass(model, Resource) and isinstance(rows, ResourceQuerySet) and rows.searched:
            yield SearchedTable.of(rows)
