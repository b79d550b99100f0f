"""The store of a resource: finds, creates, changes and deletes its rows.

A resource that the principal may not access is NotFound, so its id reveals nothing. A change locks the row, checks the
precondition, stores the next version and replaces the cache entry, in that order.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import orjson
from pydantic import BaseModel

from core.database.compiled import CompiledQuery, compiled_delete, compiled_insert, compiled_update, parameter
from core.database.fields import JSONTextField
from core.database.pool import database
from core.http.conditional import Precondition, entity_tag
from core.http.path_ids import parse_id
from core.http.principal import Principal
from core.http.problems import NotFound
from core.resources.cache.representations import Representation, RepresentationCache
from core.resources.idempotency import Key, StoredResponse, run_once
from core.resources.merge_patch import check_patch, patched
from core.resources.model import Resource, ResourceQuerySet, ResourceRow
from core.resources.representer import Representer
from core.values import canonical_uuid, is_id, later_than, now, rfc3339, same_json, uuid7


class Store[Content: BaseModel]:
    """The rows of one resource. `may_access` decides whether a principal may see and change the rows of an owner."""

    def __init__(
        self,
        model: type[Resource],
        content: type[Content],
        *,
        path: str,
        may_access: Callable[[Principal, str], bool],
    ) -> None:
        self.representer = Representer(model)
        self.content = content
        self._model, self._path, self._may_access = model, path, may_access
        self._content_fields = model.content_fields()
        self._json_fields = {
            name for name in self._content_fields if isinstance(model._meta.get_field(name), JSONTextField)
        }
        self._cache = RepresentationCache(str(model._meta.model_name))
        self._find = CompiledQuery(lambda: self._one().as_rows(), row=model.row_type())
        # SQLite has only one writer, so it needs no lock.
        self._find_for_change = CompiledQuery(lambda: self._one().select_for_update().as_rows(), row=model.row_type())
        self._insert = compiled_insert(lambda: model)
        self._update = compiled_update(self._one, *self._content_fields, "version", "updated_at")
        self._delete = compiled_delete(self._one)

    def _one(self) -> ResourceQuerySet[Any]:
        rows: ResourceQuerySet[Any] = self._model._default_manager.filter(id=parameter(self._model, "id"))  # type: ignore[assignment]
        return rows

    def cache_key(self, principal: Principal, params: dict[str, str]) -> bytes | None:
        """Return the key of the cache entry that the path's id names, for `prefetch`. None for a malformed id."""
        [resource_id] = params.values()
        return self._cache.key(resource_id.lower()) if is_id(resource_id) else None

    async def get(self, principal: Principal, resource_id: str, *, prefetched: bytes | None) -> Representation:
        """Return a resource, from its cache entry if that was prefetched and is valid. Raises NotFound."""
        uuid = parse_id(resource_id)
        found = await self._cache.find(self._cache.key(str(uuid)), prefetched, partial(self._load, uuid))
        if found is None or not self._may_access(principal, found.owner):
            raise NotFound
        return found

    async def _load(self, uuid: UUID) -> Representation | None:
        row = await database.read_anywhere(partial(self._find.fetch_one, id=uuid))
        return None if row is None else self.representer.represent(row)

    async def create(self, principal: Principal, new: Content, *, key: Key | None) -> StoredResponse:
        """Create a resource and return the response, or the stored one if the idempotency key was used before.

        Raises IdempotencyMismatch, IdempotencyInProgress, and Unauthorized if the account was just deleted.
        """
        moment, resource_id = now(), uuid7()
        content = {name: getattr(new, name) for name in self._content_fields}
        system = {"version": 1, "created_at": moment, "updated_at": moment}
        row = self._model.row_type()(
            id=str(resource_id), owner_id=principal.user_key, **self._as_text(content), **system
        )
        location = f"{self._path}/{resource_id}"
        response = StoredResponse(201, self.representer.to_json(row), location, entity_tag(1))
        values = {"id": resource_id, "owner_id": principal.user_id, **content, **system}
        return await run_once(principal, key, partial(self._insert_row, values, response))

    def _insert_row(self, values: dict[str, Any], response: StoredResponse) -> StoredResponse:
        self._insert.queue(**values)
        return response

    async def replace(
        self, principal: Principal, resource_id: str, new: Content, *, precondition: Precondition
    ) -> Representation:
        """Replace the content. Raises NotFound, PreconditionFailed, PreconditionRequired."""
        return await self._change(resource_id, partial(self._replace_row, principal, new, precondition))

    async def patch(
        self, principal: Principal, resource_id: str, patch: Any, *, precondition: Precondition
    ) -> Representation:
        """Apply a JSON Merge Patch. Raises NotFound, ValidationFailed, PreconditionFailed, PreconditionRequired."""
        check_patch(patch, self.content)
        return await self._change(resource_id, partial(self._patch_row, principal, patch, precondition))

    async def delete(self, principal: Principal, resource_id: str, *, precondition: Precondition) -> None:
        """Delete a resource. Raises NotFound, PreconditionFailed, PreconditionRequired."""
        await self._change(resource_id, partial(self._delete_row, principal, precondition))

    async def _change(self, resource_id: str, job: Any) -> Representation:
        uuid = parse_id(resource_id)
        return await self._cache.change(self._cache.key(str(uuid)), partial(database.write, partial(job, uuid)))

    def _replace_row(
        self, principal: Principal, new: Content, precondition: Precondition, uuid: UUID
    ) -> Representation:
        row = self._lock_visible(principal, uuid)
        precondition.check(row.version)
        return self.representer.represent(self.store_change(row, new))

    def _patch_row(self, principal: Principal, patch: Any, precondition: Precondition, uuid: UUID) -> Representation:
        row = self._lock_visible(principal, uuid)
        new = patched(self.content, self._content_of(row), patch)
        precondition.check(row.version)
        return self.representer.represent(self.store_change(row, new))

    def _delete_row(self, principal: Principal, precondition: Precondition, uuid: UUID) -> Representation:
        row = self._lock_visible(principal, uuid)
        precondition.check(row.version)
        self._delete.queue(id=uuid)
        return Representation(row.version + 1, "", b"")

    def _lock_visible(self, principal: Principal, uuid: UUID) -> ResourceRow:
        row = self.lock(uuid)
        if row is None or not self._may_access(principal, canonical_uuid(row.owner_id)):
            raise NotFound
        return row

    def lock(self, uuid: UUID) -> ResourceRow | None:
        """Return a row, locked until the transaction ends, or None."""
        row: ResourceRow | None = self._find_for_change.fetch_one(id=uuid)
        return row

    def store_change(self, row: ResourceRow, new: Content) -> Any:
        """Store new content in a locked row and return the new row. The version increases by one if content differs."""
        content = {name: getattr(new, name) for name in self._content_fields}
        text = self._as_text(content)
        system = {
            "version": row.version + self._differs(row, text),
            "updated_at": later_than(datetime.fromisoformat(rfc3339(row.updated_at))),
        }
        self._update.queue(id=row.id, **content, **system)
        return row._replace(**text, **system)  # type: ignore[attr-defined]  # rows are named tuples

    def _differs(self, row: ResourceRow, text: dict[str, Any]) -> bool:
        stored = {name: getattr(row, name) for name in text}
        different = [name for name, value in text.items() if stored[name] != value]
        return any(name not in self._json_fields or not same_json(stored[name], text[name]) for name in different)

    def _as_text(self, content: dict[str, Any]) -> dict[str, Any]:
        json = {name: orjson.dumps(content[name]).decode() for name in self._json_fields}
        return {**content, **json}

    def _content_of(self, row: ResourceRow) -> dict[str, Any]:
        json = {name: orjson.loads(getattr(row, name)) for name in self._json_fields}
        return {name: getattr(row, name) for name in self._content_fields} | json
