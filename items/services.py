"""The operations on items, and who may do them. `core.resources.store` does the work.

An item that the principal may not access is NotFound, like an item that does not exist.
"""

from typing import Any

from core.http.conditional import Precondition
from core.http.principal import Principal
from core.resources.cache.representations import Representation
from core.resources.idempotency import Key, StoredResponse
from core.resources.store import Store
from items.models import Item
from items.schemas import ItemIn


def may_access(principal: Principal, owner_id: str) -> bool:
    """Return whether the principal may access the items of an owner: users their own, staff all."""
    return principal.is_staff or owner_id == principal.user_key


store = Store(Item, ItemIn, path="/v1/items", may_access=may_access)


async def create_item(principal: Principal, *, new: ItemIn, key: Key | None) -> StoredResponse:
    """Create an item, once per idempotency key."""
    return await store.create(principal, new, key=key)


async def get_item(principal: Principal, *, item_id: str, prefetched: bytes | None) -> Representation:
    """Return an item. Raises NotFound."""
    return await store.get(principal, item_id, prefetched=prefetched)


async def replace_item(
    principal: Principal, *, item_id: str, new: ItemIn, precondition: Precondition
) -> Representation:
    """Replace the content of an item. Raises NotFound, PreconditionFailed."""
    return await store.replace(principal, item_id, new, precondition=precondition)


async def patch_item(principal: Principal, *, item_id: str, patch: Any, precondition: Precondition) -> Representation:
    """Apply a JSON Merge Patch to an item. Raises NotFound, ValidationFailed, PreconditionFailed."""
    return await store.patch(principal, item_id, patch, precondition=precondition)


async def delete_item(principal: Principal, *, item_id: str, precondition: Precondition) -> None:
    """Delete an item. Raises NotFound, PreconditionFailed."""
    await store.delete(principal, item_id, precondition=precondition)
