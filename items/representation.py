"""Rows as JSON: from what the database gives straight to bytes, without a model or a dict of fields between."""

from typing import Any

import orjson

from core.cache import Representation
from core.timestamps import rfc3339


def canonical_uuid(text: str) -> str:
    """A UUID with its dashes; SQLite keeps it without."""
    return text if len(text) == 36 else f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def item_json(row: tuple[Any, ...]) -> bytes:
    """A row of `ItemQuerySet.as_rows` as `ItemOut`."""
    item_id, name, description, status, metadata, owner_id, version, created_at, updated_at = row
    return orjson.dumps(
        {
            "id": canonical_uuid(item_id),
            "name": name,
            "description": description,
            "status": status,
            "metadata": orjson.Fragment(metadata),
            "owner_id": canonical_uuid(owner_id),
            "version": version,
            "created_at": rfc3339(created_at),
            "updated_at": rfc3339(updated_at),
        }
    )


def represent(row: tuple[Any, ...]) -> Representation:
    """A row as what is sent and cached."""
    return Representation(row[6], canonical_uuid(row[5]).encode(), item_json(row))
