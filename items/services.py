"""What can be done with items: scoping, transactions, cache and domain errors."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from pydantic import ValidationError

from core.api import MESSAGES, invalid, pointer
from core.auth.principal import Principal
from core.cache import Representation, RepresentationCache
from core.conditional import check_if_match, entity_tag
from core.database import database
from core.database.compiled import CompiledQuery, compiled_delete, compiled_insert, compiled_update, parameter
from core.errors import FieldError, NotFound, ValidationFailed
from core.idempotency import Answer
from core.identifiers import uuid7
from core.merge_patch import merge_patch
from core.timestamps import later_than, now, rfc3339
from items.models import Item, ItemQuerySet
from items.representation import canonical_uuid, represent
from items.schemas import ItemIn

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)

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
    item_id = params["item_id"].lower()
    return cache.key(item_id) if _UUID.fullmatch(item_id) else None


def parse_id(text: str) -> UUID:
    """An item's id. Raises NotFound for what is none: it cannot be told from an item that is not there."""
    if not _UUID.fullmatch(text):
        raise NotFound
    return UUID(text)


async def get_item(principal: Principal, *, item_id: str, entry: bytes | None) -> Representation:
    """An item that the principal may see, from its cache entry or the database. Raises NotFound."""
    uuid = parse_id(item_id)

    async def load() -> Representation | None:
        row = await database.read(lambda: _FIND.fetch_one(id=uuid))
        return None if row is None else represent(row)

    found = await cache.find(cache.key(str(uuid)), entry, load)
    if found is None or not found.is_visible_to(principal):
        raise NotFound
    return found


def create_item(principal: Principal, *, new: ItemIn) -> Callable[[], Answer]:
    """The effect of creating an item, to run in a write transaction."""
    moment = now()
    item_id = uuid7()
    metadata = orjson.dumps(new.metadata).decode()

    def effect() -> Answer:
        _INSERT.run(
            id=item_id, name=new.name, description=new.description, status=new.status, metadata=new.metadata,
            owner_id=principal.user_id, version=1, created_at=moment, updated_at=moment,
        )  # fmt: skip
        return answer

    row = (
        str(item_id), new.name, new.description, new.status, metadata, principal.user_key, 1, moment, moment,
    )  # fmt: skip
    answer = Answer(201, represent(row).body, f"/v1/items/{item_id}", entity_tag(1))
    return effect


async def replace_item(principal: Principal, *, item_id: str, new: ItemIn, condition: str | None) -> Representation:
    """Puts `new` in place of an item. Raises NotFound, PreconditionFailed."""
    return await _change(principal, item_id, lambda current: new, condition)


async def patch_item(
    principal: Principal, *, item_id: str, patch: Any, condition: str | None
) -> Representation:
    """Applies a JSON Merge Patch to an item. Raises NotFound, ValidationFailed, PreconditionFailed."""
    check_patch(patch)
    return await _change(principal, item_id, lambda current: _patched(current, patch), condition)


async def delete_item(principal: Principal, *, item_id: str, condition: str | None) -> None:
    """Deletes an item. Raises NotFound, PreconditionFailed."""
    uuid = parse_id(item_id)

    def delete() -> Representation:
        found = _find_for_change(principal, uuid)
        version = found[6]
        check_if_match(condition, version)
        _DELETE.run(id=uuid)
        return Representation(version + 1, b"", b"")

    await cache.change(cache.key(str(uuid)), lambda: database.write(delete))


async def _change(
    principal: Principal, item_id: str, make: Callable[[tuple[Any, ...]], ItemIn], condition: str | None
) -> Representation:
    """A change of the fields that clients set. One that changes nothing succeeds, and leaves the version alone."""
    uuid = parse_id(item_id)

    def change() -> Representation:
        row = _find_for_change(principal, uuid)
        new = make(row)
        check_if_match(condition, row[6])
        metadata = orjson.dumps(new.metadata).decode()
        is_same = row[1:4] == (new.name, new.description, new.status) and same_json(row[4], metadata)
        version = row[6] if is_same else row[6] + 1
        moment = later_than(datetime.fromisoformat(rfc3339(row[8])))
        _UPDATE.run(
            id=uuid, name=new.name, description=new.description, status=new.status, metadata=new.metadata,
            version=version, updated_at=moment,
        )  # fmt: skip
        changed = (row[0], new.name, new.description, new.status, metadata, row[5], version, row[7], moment)
        return represent(changed)

    return await cache.change(cache.key(str(uuid)), lambda: database.write(change))


def _find_for_change(principal: Principal, uuid: UUID) -> tuple[Any, ...]:
    row = _FIND_FOR_CHANGE.fetch_one(id=uuid)
    if row is None or not (principal.is_staff or canonical_uuid(row[5]) == principal.user_key):
        raise NotFound
    return row


def check_patch(patch: Any) -> None:
    """Raises ValidationFailed for a patch that is no object or names what a client cannot set, even with null."""
    if not isinstance(patch, dict):
        errors: list[FieldError] = [{"pointer": "#", "detail": "must be an object", "code": "dict_type"}]
    else:
        detail, code = MESSAGES["extra_forbidden"], "extra_forbidden"
        unknown = [name for name in patch if name not in ItemIn.model_fields]
        errors = [{"pointer": pointer([name]), "detail": detail, "code": code} for name in unknown]
    if errors:
        raise ValidationFailed(errors=errors)


def _patched(row: tuple[Any, ...], patch: dict[str, Any]) -> ItemIn:
    current = {"name": row[1], "description": row[2], "status": row[3], "metadata": orjson.loads(row[4])}
    try:
        return ItemIn.model_validate(merge_patch(current, patch))
    except ValidationError as error:
        raise invalid(error) from None


def same_json(one: str, other: str) -> bool:
    """Whether two compact JSON texts say the same, whatever the order of keys. 1, 1.0 and true are three things."""
    return one == other or _sorted_json(one) == _sorted_json(other)


def _sorted_json(text: str) -> bytes:
    return orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS)
