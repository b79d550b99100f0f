"""Keeps the indexes: on SQLite it puts into them what was written, on both it knows which are good.

On SQLite each transaction of the service's writer ends with the indexing of what it wrote. What others write (the
admin, manage.py, another program) is indexed along with the next, and, if it is much, in transactions of its own when
the writer has nothing to do, or beyond MOST_WAITING rows: what waits costs a search some microseconds a row.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from django.db import DatabaseError, connection, transaction

from core.database.failures import is_damage
from core.database.pool import WRITE_BATCH, database
from core.process.background import BackgroundTask
from core.resources.search import building, sqlite_index
from core.resources.search.tables import SearchedTable, searched_tables
from core.resources.search.tidying import tidy_in_time

LOOK_EVERY_SECONDS = {"sqlite": 1.0, "postgresql": 60.0}
# Rows of one transaction: some 10 ms for which other writers wait.
BATCH = 256
# At the end of another transaction: twice as many as the writes that share one, so that what waits becomes less.
BATCH_AT_COMMIT = 2 * WRITE_BATCH
# As long a transaction.
MERGE_PAGES = 200
MOST_WAITING = 16_384

logger = logging.getLogger("agent_router.search")


class Indexer:
    """A resource of the lifespan, after the database in order."""

    def __init__(self) -> None:
        self._ready: set[SearchedTable] = set()
        self._task = BackgroundTask("search-indexer")
        self._tidying = BackgroundTask("search-tidying")
        # Something could not be indexed there: the next look finds out whether it can, and mends what is damaged.
        self._doubtful: set[SearchedTable] = set()
        # Tables with something new in their index, perhaps to be merged.
        self._grown: set[SearchedTable] = set()
        self._is_failing = False

    def is_ready(self, table: SearchedTable) -> bool:
        """Whether searches in a table may go by its index."""
        return table in self._ready

    async def open(self) -> None:
        """Looks whether the indexes are good, and goes on to look after them. What waits does not hold up the start."""
        for table in searched_tables():
            await self._look(table, is_start=True)
            if table not in self._ready:
                logger.warning("Searches in %s look at every row: it has no index. Run: manage.py doctor", table.name)
        if connection.vendor == "sqlite":
            database.before_commit.append(self._index_what_was_written)
        else:
            self._tidying.start(tidy_in_time(self._ready))
        self._task.start(self._run())

    async def close(self) -> None:
        """Stops; what waits is for the next process."""
        await self._task.stop()
        await self._tidying.stop()
        database.before_commit.clear()
        self._ready.clear()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS[connection.vendor])
            for table in searched_tables():
                await self._look(table)

    async def _look(self, table: SearchedTable, *, is_start: bool = False) -> None:
        """Finds out whether a table's index is good, and moves what waits for it if it is time."""
        try:
            is_good = await database.read(partial(building.is_whole, table))
            if connection.vendor == "sqlite":
                is_good = is_good or await database.write(partial(_mend, table))
                while is_good and not is_start and (table in self._doubtful or await _is_due(table)):
                    await self._work(table, partial(sqlite_index.fill, batch=BATCH))
                    self._doubtful.discard(table)
                if is_good and not is_start:
                    await self._merge(table)
        except Exception:
            # The database is out of reach, and whoever needs it says so: once is enough.
            if not self._is_failing:
                logger.warning("The search index of %s could not be looked after", table.name, exc_info=True)
            self._is_failing = True
            return
        self._is_failing = False
        if is_good:
            self._ready.add(table)
        else:
            self._ready.discard(table)

    async def _merge(self, table: SearchedTable) -> None:
        """Merges what commits have left in the index, while the writer has nothing else to do."""
        while table in self._grown and _is_idle():
            self._grown.discard(table)
            if await self._work(table, partial(sqlite_index.merge, pages=MERGE_PAGES)):
                self._grown.add(table)

    @staticmethod
    async def _work[T](table: SearchedTable, work: Callable[[SearchedTable], T]) -> T | None:
        return await database.write(partial(_or_anew, table, partial(work, table)))

    def _index_what_was_written(self) -> None:
        """In the transaction of the writes, and in a thread of the database's."""
        for table in tuple(self._ready):
            try:
                if sqlite_index.fill(table, batch=BATCH_AT_COMMIT):
                    self._grown.add(table)
            except Exception:
                # Neither commits nor searches go on with it until a look has found that it takes what waits.
                self._ready.discard(table)
                self._doubtful.add(table)
                raise


def _is_idle() -> bool:
    return database.stats()["jobs"] == 0


async def _is_due(table: SearchedTable) -> bool:
    """Whether so much waits that it is worth a transaction."""
    is_idle = _is_idle()
    waiting = await database.read(partial(sqlite_index.backlog, table, at_most=MOST_WAITING + 1))
    return waiting > MOST_WAITING or (is_idle and waiting >= BATCH)


def _is_damaged_index(error: DatabaseError) -> bool:
    """Whether FTS5 has noticed that its sums do not come out right: what is taken out is not what was put in."""
    return is_damage(error) and not isinstance(error, sqlite_index.UnreadableRows)


def _or_anew[T](table: SearchedTable, work: Callable[[], T]) -> T | None:
    """What the work on an index returns; None if the index turns out to be damaged, and begins anew."""
    try:
        with transaction.atomic():
            return work()
    except DatabaseError as error:
        if not _is_damaged_index(error):
            raise
        logger.warning("The search index of %s is damaged: it is being filled anew", table.name)
        sqlite_index.create(table)
        return None


def _mend(table: SearchedTable) -> bool:
    """Makes an index anew that a migration has made and something else has broken. Returns whether there is one."""
    if not sqlite_index.is_built(table):
        return False
    if not sqlite_index.is_whole(table):
        logger.warning("The search index of %s is not of these rows: it is being filled anew", table.name)
        sqlite_index.create(table)
    return True


indexer = Indexer()
