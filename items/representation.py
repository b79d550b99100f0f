"""Rows as JSON: from what the database gives straight to bytes, without a model or a dict of fields between."""

from functools import lru_cache
from typing import Any

import orjson

from core.resources.cache.representations import Representation
from core.values import canonical_uuid, rfc3339

# A page has one owner, or a few.
_owner = lru_cache(maxsize=4096)(canonical_uuid)


def item_document(row: tuple[Any, ...]) -> dict[str, Any]:
    """An `ItemRow`, or a tuple like one, as what orjson makes an `ItemOut` of."""
    item_id, name, description, status, metadata, owner_id, version, created_at, updated_at = row
    return {
        "id": canonical_uuid(item_id),
        "name": name,
        "description": description,
        "status": status,
        "metadata": orjson.Fragment(metadata),
        "owner_id": _owner(owner_id),
        "version": version,
        "created_at": rfc3339(created_at),
        "updated_at": rfc3339(updated_at),
    }


def item_json(row: tuple[Any, ...]) -> bytes:
    """A row as the JSON of `ItemOut`."""
    return orjson.dumps(item_document(row))


def represent(row: tuple[Any, ...]) -> Representation:
    """A row as what is sent and cached."""
    return Representation(row[6], _owner(row[5]).encode(), item_json(row))
