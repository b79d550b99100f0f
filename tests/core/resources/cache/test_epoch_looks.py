"""A process looks at the epoch while its event loop is busy."""

import asyncio
import time

import pytest

from core.redis.client import RedisClient
from core.resources.cache.epoch import LEASE_SECONDS, Epoch
from tests.redis_server import RedisServer


class InstantEpoch(Epoch):
    """An epoch whose database responds immediately."""

    async def _find(self) -> tuple[str, str]:
        return "token", self._run_id

    async def _settle(self, run_id: str) -> tuple[str, str]:
        return "token", run_id


@pytest.mark.timeout(30)
def test_finished_look_that_is_too_old_is_not_awaited_again() -> None:
    """Awaiting a finished look never yields to the event loop, so it would loop forever."""

    async def call_in_the_iteration_in_which_the_look_ends() -> bool:
        client = RedisClient()
        await client.open(server.url, 5)
        epoch = InstantEpoch(client)
        calls: list[asyncio.Task[bool]] = []
        try:
            assert await epoch.is_trusted(time.monotonic())
            looking = epoch._look()
            after_lease = epoch._looked_at + 2 * LEASE_SECONDS
            looking.add_done_callback(lambda _: calls.append(asyncio.ensure_future(epoch.is_trusted(after_lease))))
            await looking
            await asyncio.sleep(0)
            return await calls[0]
        finally:
            await client.close()

    with RedisServer() as server:
        assert asyncio.run(call_in_the_iteration_in_which_the_look_ends())
