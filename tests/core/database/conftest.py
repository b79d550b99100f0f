"""The service's database threads on the test's database."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from django.db import connection

from core.database.pool import Database

SECONDS = 30.0

type Test = Callable[[Database], Awaitable[Any]]


@pytest.fixture
def run(transactional_db: None) -> Callable[[Test], Any]:
    """Run a test's coroutine function with an open database."""

    def run_test(test: Test) -> Any:
        async def opened() -> Any:
            database = Database()
            await database.open()
            try:
                async with asyncio.timeout(SECONDS):
                    return await test(database)
            finally:
                await database.close()

        return asyncio.run(opened())

    return run_test


class Together:
    """Blocks the writer, so that jobs submitted meanwhile share a transaction; records its statements."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.statements: list[str] = []
        self._entered, self._open = threading.Event(), threading.Event()

    def _hold(self) -> None:
        statements: list[str] = []
        self.statements = statements
        connection.connection.set_trace_callback(statements.append)
        self._entered.set()
        assert self._open.wait(SECONDS)

    async def write(self, *jobs: Callable[[], Any]) -> list[Any]:
        """Return the results and exceptions of the jobs."""
        holding = asyncio.create_task(self.database.write(self._hold))
        assert await asyncio.to_thread(self._entered.wait, SECONDS)
        tasks = [asyncio.create_task(self.database.write(job)) for job in jobs]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self._open.set()
        await holding
        results = await asyncio.gather(*tasks, return_exceptions=True)
        # Drop the COMMIT of the blocked transaction.
        self.statements = self.statements[1:]
        self._entered.clear()
        self._open.clear()
        await self.database.write(lambda: connection.connection.set_trace_callback(None))
        return results

    def count(self, word: str) -> int:
        """Return how many statements began with this word."""
        return sum(statement.startswith(word) for statement in self.statements)
