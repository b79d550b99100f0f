"""How a process looks at the epoch while its event loop is busy."""

import asyncio
import time

import pytest

from core.redis.client import RedisClient
from core.resources.cache.epoch import LEASE_SECONDS, Epoch
from tests.redis_server import RedisServer


class InstantEpoch(Epoch):
    """Its database answers at once."""

    async def _find(self) -> tuple[str, str]:
        return "token", self._run_id

    async def _settle(self, run_id: str) -> tuple[str, str]:
        return "token", run_id


@pytest.mark.timeout(30)
def test_a_look_that_has_ended_and_is_too_old_is_not_waited_for_again() -> None:
    """It would be waited for without end: waiting for what has ended gives the loop no turn to notice."""

    async def ask_in_the_turn_in_which_the_look_ends() -> bool:
        client = RedisClient()
        await client.open(server.url, 5)
        epoch = InstantEpoch(client)
        asked: list[asyncio.Task[bool]] = []
        try:
            assert await epoch.is_trusted(time.monotonic())
            looking = epoch._look()
            later = epoch._looked_at + 2 * LEASE_SECONDS
            looking.add_done_callback(lambda _: asked.append(asyncio.ensure_future(epoch.is_trusted(later))))
            await looking
            await asyncio.sleep(0)
            return await asked[0]
        finally:
            await client.close()

    with RedisServer() as server:
        assert asyncio.run(ask_in_the_turn_in_which_the_look_ends())
