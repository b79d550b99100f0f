from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.apps import apps
from django.db import models

from core.resources.model import Resource, ResourceQuerySet


class SearchedTable(NamedTuple):
    name: str
    columns: tuple[str, ...]

    @classmethod
    def of(cls, rows: ResourceQuerySet[Any]) -> SearchedTable:
        return cls.of_fields(rows.model, rows.searched)

    @classmethod
    def of_fields(cls, model: type[models.Model], fields: tuple[str, ...]) -> SearchedTable:
        options: Any = model._meta
        return cls(options.db_table, tuple(options.get_field(field).column for field in fields))


def searched_tables() -> Iterator[SearchedTable]:
    for model in apps.get_models():
        rows = model._default_manager.all()
        if issubclass(model, Resource) and isinstance(rows, ResourceQuerySet) and rows.searched:
            yield SearchedTable.of(rows)
