"""Keeps the indexes behind the rows: on SQLite it moves what waits into them, on both it knows which are good.

What waits costs a search some microseconds a row, and moving it costs the writer some ten. So it is moved when the
writer has nothing to do, and while it is busy only beyond MOST_WAITING: 4 MiB of ordinary rows, as PostgreSQL's own
list of what waits for a GIN index.
"""

import asyncio
import logging
from functools import partial

from django.db import DatabaseError, connection, transaction

from core.background import BackgroundTask
from core.database import database
from core.search import building, sqlite_index
from core.search.tables import SearchedTable, searched_tables

LOOK_EVERY_SECONDS = {"sqlite": 1.0, "postgresql": 60.0}
# Rows of one transaction: some 10 ms for which other writers wait.
BATCH = 256
MOST_WAITING = 16_384

logger = logging.getLogger("agent_router.search")


class Indexer:
    """A resource of the lifespan, after the database in order."""

    def __init__(self) -> None:
        self._ready: set[SearchedTable] = set()
        self._task = BackgroundTask("search-indexer")
        self._is_failing = False

    def is_ready(self, table: SearchedTable) -> bool:
        """Whether searches in a table may go by its index."""
        return table in self._ready

    async def open(self) -> None:
        """Looks whether the indexes are good, and goes on to look after them."""
        for table in searched_tables():
            await self._look(table)
            if table not in self._ready:
                logger.warning("Searches in %s look at every row: it has no index. Run: manage.py doctor", table.name)
        self._task.start(self._run())

    async def close(self) -> None:
        """Stops; what waits is for the next process."""
        self._ready.clear()
        await self._task.stop()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS[connection.vendor])
            for table in searched_tables():
                await self._look(table)

    async def _look(self, table: SearchedTable) -> None:
        """Finds out whether a table's index is good, and moves what waits for it if it is time."""
        try:
            is_good = await database.read(partial(building.is_whole, table))
            if connection.vendor == "sqlite":
                is_good = is_good or await database.write(partial(_mend, table))
                while is_good and await database.read(partial(_is_due, table, is_idle=database.stats()["jobs"] == 0)):
                    await database.write(partial(_fill, table))
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


def _is_due(table: SearchedTable, *, is_idle: bool) -> bool:
    waiting = sqlite_index.backlog(table, at_most=MOST_WAITING + 1)
    return waiting > MOST_WAITING or (is_idle and waiting >= BATCH)


def _fill(table: SearchedTable) -> None:
    try:
        with transaction.atomic():
            sqlite_index.fill(table, batch=BATCH)
    except DatabaseError as error:
        if "malformed" not in str(error):
            raise
        # What is taken out is not what was put in: FTS5 has noticed that its sums do not come out right.
        logger.warning("The search index of %s is damaged: it is being filled anew", table.name)
        sqlite_index.create(table)


def _mend(table: SearchedTable) -> bool:
    """Makes an index anew that a migration has made and something else has broken. Returns whether there is one."""
    if not sqlite_index.is_built(table):
        return False
    if not sqlite_index.is_whole(table):
        logger.warning("The search index of %s is not of these rows: it is being filled anew", table.name)
        sqlite_index.create(table)
    return True


indexer = Indexer()
