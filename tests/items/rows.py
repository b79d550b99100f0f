"""Users and items in the database of the test process."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from core.auth.models import User
from core.database.pool import database
from core.http.principal import Principal
from core.values import uuid7
from items.models import Item

DAWN = datetime(2026, 1, 1, tzinfo=UTC)


def make_user(**fields: Any) -> User:
    return User.objects.create(email=f"{uuid7()}@example.org", **fields)


def principal_of(user: User) -> Principal:
    return Principal(user.id, str(user.id), is_staff=user.is_staff, scopes=None, session_id=None, api_key_id=None)


def make_item(owner: User, *, created: float = 0, updated: float = 0, **fields: Any) -> Item:
    """Create an item. `created` and `updated` are seconds after DAWN."""
    values = {"name": "an item", "owner": owner, **fields}
    return Item.objects.create(
        created_at=DAWN + timedelta(seconds=created), updated_at=DAWN + timedelta(seconds=updated), **values
    )


def with_database[T](job: Callable[[], Awaitable[T]]) -> T:
    """Run a job that needs the database's threads."""

    async def run() -> T:
        await database.open()
        try:
            return await job()
        finally:
            await database.close()

    return asyncio.run(run())
