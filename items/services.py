"""What can be done with items: scoping, transactions, cache and domain errors."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from core.database.compiled import CompiledQuery, compiled_delete, compiled_insert, compiled_update, parameter
from core.database.pool import database
from core.http.conditional import Precondition, entity_tag
from core.http.path_ids import parse_id
from core.http.principal import Principal
from core.http.problems import NotFound
from core.resources.cache.representations import Representation, RepresentationCache
from core.resources.idempotency import Answer
from core.resources.merge_patch import check_patch, patched
from core.values import canonical_uuid, is_id, later_than, now, rfc3339, same_json, uuid7
from items.models import Item, ItemQuerySet, ItemRow
from items.representation import represent
from items.schemas import ItemIn

cache = RepresentationCache("item")


def _one() -> ItemQuerySet:
    return ItemQuerySet(Item).filter(id=parameter(Item, "id"))


_FIND = CompiledQuery(lambda: _one().as_rows())
# PostgreSQL locks the row until the change commits; on SQLite the one writer has locked them all.
_FIND_FOR_CHANGE = CompiledQuery(lambda: _one().select_for_update().as_rows())
_INSERT = compiled_insert(lambda: Item)
_UPDATE = compiled_update(_one, "name", "description", "status", "metadata", "version", "updated_at")
_DELETE = compiled_delete(_one)


def cache_key(principal: Principal, params: dict[str, str]) -> bytes | None:
    """The cache entry of the item that a path names."""
    item_id = params["item_id"]
    return cache.key(item_id.lower()) if is_id(item_id) else None


async def get_item(principal: Principal, *, item_id: str, entry: bytes | None) -> Representation:
    """An item that the principal may see, from its cache entry or the database. Raises NotFound."""
    uuid = parse_id(item_id)

    async def load() -> Representation | None:
        row = await database.read_anywhere(lambda: _FIND.fetch_one(id=uuid))
        return None if row is None else represent(row)

    found = await cache.find(cache.key(str(uuid)), entry, load)
    if found is None or not found.is_visible_to(principal):
        raise NotFound
    return found


def create_item(principal: Principal, *, new: ItemIn) -> Callable[[], Answer]:
    """The effect of creating an item, to run in a write transaction."""
    moment, item_id = now(), uuid7()
    row = ItemRow(
        id=str(item_id),
        name=new.name,
        description=new.description,
        status=new.status,
        metadata=orjson.dumps(new.metadata).decode(),
        owner_id=principal.user_key,
        version=1,
        created_at=moment,
        updated_at=moment,
    )
    answer = Answer(201, represent(row).body, f"/v1/items/{item_id}", entity_tag(1))
    given = {"id": item_id, "owner_id": principal.user_id, "metadata": new.metadata}

    def effect() -> Answer:
        _INSERT.queue(**row._asdict() | given)
        return answer

    return effect


async def replace_item(
    principal: Principal, *, item_id: str, new: ItemIn, precondition: Precondition
) -> Representation:
    """Puts `new` in place of an item. Raises NotFound, PreconditionFailed."""
    return await _change(principal, item_id, lambda row: new, precondition)


async def patch_item(principal: Principal, *, item_id: str, patch: Any, precondition: Precondition) -> Representation:
    """Applies a JSON Merge Patch to an item. Raises NotFound, ValidationFailed, PreconditionFailed."""
    check_patch(patch, ItemIn)

    def make(row: ItemRow) -> ItemIn:
        current = {
            "name": row.name,
            "description": row.description,
            "status": row.status,
            "metadata": orjson.loads(row.metadata),
        }
        return patched(ItemIn, current, patch)

    return await _change(principal, item_id, make, precondition)


async def delete_item(principal: Principal, *, item_id: str, precondition: Precondition) -> None:
    """Deletes an item. Raises NotFound, PreconditionFailed."""
    uuid = parse_id(item_id)

    def delete() -> Representation:
        row = _lock(principal, uuid)
        precondition.check(row.version)
        _DELETE.queue(id=uuid)
        return Representation(row.version + 1, b"", b"")

    await cache.change(cache.key(str(uuid)), lambda: database.write(delete))


async def _change(
    principal: Principal, item_id: str, make: Callable[[ItemRow], ItemIn], precondition: Precondition
) -> Representation:
    uuid = parse_id(item_id)

    def change() -> Representation:
        row = _lock(principal, uuid)
        new = make(row)
        precondition.check(row.version)
        return represent(store_change(row, new))

    return await cache.change(cache.key(str(uuid)), lambda: database.write(change))


def _lock(principal: Principal, uuid: UUID) -> ItemRow:
    row = lock_item(uuid)
    if row is None or not (principal.is_staff or canonical_uuid(row.owner_id) == principal.user_key):
        raise NotFound
    return row


def lock_item(uuid: UUID) -> ItemRow | None:
    """The item, which nobody else changes until the end of the transaction."""
    row = _FIND_FOR_CHANGE.fetch_one(id=uuid)
    return None if row is None else ItemRow(*row)


def store_change(row: ItemRow, new: ItemIn) -> ItemRow:
    """Stores a change of an item that the transaction has locked, and returns the item as it is then.

    One that changes nothing leaves the version alone.
    """
    metadata = orjson.dumps(new.metadata).decode()
    is_same = row[1:4] == (new.name, new.description, new.status) and same_json(row.metadata, metadata)
    fields: dict[str, Any] = {
        "name": new.name,
        "description": new.description,
        "status": new.status,
        "version": row.version if is_same else row.version + 1,
        "updated_at": later_than(datetime.fromisoformat(rfc3339(row.updated_at))),
    }
    _UPDATE.queue(id=row.id, metadata=new.metadata, **fields)
    return row._replace(metadata=metadata, **fields)
