"""Maintains the search indexes: fills SQLite's, and knows on both databases which indexes searches may use.

On SQLite each transaction of the service's writer also indexes rows. Separate transactions index rows that other
programs wrote when the writer is idle, or when more than MOST_WAITING rows wait.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from django.db import DatabaseError, connection, transaction

from core.database.failures import is_corruption
from core.database.pool import WRITE_BATCH, database
from core.process.background import BackgroundTask
from core.resources.search import building, sqlite_index
from core.resources.search.tables import SearchedTable, searched_tables
from core.resources.search.tidying import tidy_in_time

CHECK_EVERY_SECONDS = {"sqlite": 1.0, "postgresql": 60.0}
# Rows per transaction, for which other writers wait about 10 ms.
BATCH = 256
# Rows at the end of another transaction: twice the writes that share a commit, so that the backlog shrinks.
BATCH_AT_COMMIT = 2 * WRITE_BATCH
MERGE_PAGES = 200
MOST_WAITING = 16_384

logger = logging.getLogger("agent_router.search")


class Indexer:
    """A component of the process that opens after the database."""

    def __init__(self) -> None:
        self._ready: set[SearchedTable] = set()
        self._task = BackgroundTask("search-indexer")
        self._tidying = BackgroundTask("search-tidying")
        # Tables whose indexing failed: the next check tries again.
        self._doubtful: set[SearchedTable] = set()
        # Tables whose index has new segments.
        self._grown: set[SearchedTable] = set()
        self._is_failing = False

    def is_ready(self, table: SearchedTable) -> bool:
        return table in self._ready

    async def open(self) -> None:
        for table in searched_tables():
            await self._check(table, is_start=True)
            if table not in self._ready:
                logger.warning("Searches in %s read every row: the index is missing. Run: manage.py doctor", table.name)
        if connection.vendor == "sqlite":
            database.add_commit_step(self._index_what_was_written)
        else:
            self._tidying.start(tidy_in_time(self._ready))
        self._task.start(self._run())

    async def close(self) -> None:
        await self._task.stop()
        await self._tidying.stop()
        database.remove_commit_step(self._index_what_was_written)
        self._ready.clear()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(CHECK_EVERY_SECONDS[connection.vendor])
            for table in searched_tables():
                await self._check(table)

    async def _check(self, table: SearchedTable, *, is_start: bool = False) -> None:
        try:
            is_good = await database.read(partial(building.is_whole, table))
            if connection.vendor == "sqlite":
                is_good = is_good or await database.write(partial(_repair, table))
                while is_good and not is_start and (table in self._doubtful or await _is_due(table)):
                    await self._work(table, partial(sqlite_index.fill, batch=BATCH))
                    self._doubtful.discard(table)
                if is_good and not is_start:
                    await self._merge(table)
        except Exception:
            # Probably the database is down. Log the first failure only.
            if not self._is_failing:
                logger.warning("The search index of %s could not be maintained", table.name, exc_info=True)
            self._is_failing = True
            return
        self._is_failing = False
        if is_good:
            self._ready.add(table)
        else:
            self._ready.discard(table)

    async def _merge(self, table: SearchedTable) -> None:
        while table in self._grown and _is_idle():
            self._grown.discard(table)
            if await self._work(table, partial(sqlite_index.merge, pages=MERGE_PAGES)):
                self._grown.add(table)

    @staticmethod
    async def _work[T](table: SearchedTable, work: Callable[[SearchedTable], T]) -> T | None:
        return await database.write(partial(_or_rebuild, table, partial(work, table)))

    def _index_what_was_written(self) -> None:
        """Index new rows, as the last step of the writer's transaction."""
        for table in tuple(self._ready):
            try:
                if sqlite_index.fill(table, batch=BATCH_AT_COMMIT):
                    self._grown.add(table)
            except Exception:
                # Commits and searches leave the index alone until a check has filled it.
                self._ready.discard(table)
                self._doubtful.add(table)
                raise


def _is_idle() -> bool:
    return database.stats()["jobs"] == 0


async def _is_due(table: SearchedTable) -> bool:
    is_idle = _is_idle()
    waiting = await database.read(partial(sqlite_index.backlog, table, at_most=MOST_WAITING + 1))
    return waiting > MOST_WAITING or (is_idle and waiting >= BATCH)


def _or_rebuild[T](table: SearchedTable, work: Callable[[], T]) -> T | None:
    """Return the result of work on an index, or None after emptying a corrupt index."""
    try:
        with transaction.atomic():
            return work()
    except DatabaseError as error:
        # FTS5 also reports corruption if removed text differs from the text that was added.
        if not is_corruption(error) or isinstance(error, sqlite_index.UnreadableRows):
            raise
        logger.warning("The search index of %s is corrupt. It is being rebuilt", table.name)
        sqlite_index.create(table)
        return None


def _repair(table: SearchedTable) -> bool:
    """Rebuild an index that a migration created and another program broke. Return whether there is an index."""
    if not sqlite_index.is_built(table):
        return False
    if not sqlite_index.is_whole(table):
        logger.warning("The search index of %s does not match the rows. It is being rebuilt", table.name)
        sqlite_index.create(table)
    return True


indexer = Indexer()
