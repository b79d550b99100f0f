"""Has PostgreSQL put into its indexes what it has laid beside them, before a request has to.

GIN does not take each row at once: that would change a hundred pages. New rows come into a list, and the write that
finds the list too long (4 MB, unless the server is set otherwise: some 500 rows of 200 letters and more) moves all of
it into the index, which takes some 60 ms, and seconds if the server is busy. Searches read the list from end to end,
so it should not be long in any case.
"""

import asyncio
import logging
from collections.abc import Collection
from functools import partial

from core.database import database
from core.search import postgresql_index
from core.search.tables import SearchedTable

# Between two looks the list of a process that writes 2,000 such rows a second does not become too long.
LOOK_EVERY_SECONDS = 0.25
# An eighth of what the list may hold, so that several processes together do not fill it. Fewer cost more for each.
ENOUGH_WRITES = 64
# Fewer are put away when they have waited for so long.
MOST_SECONDS = 60.0

logger = logging.getLogger("agent_router.search")


async def tidy_in_time(tables: Collection[SearchedTable]) -> None:
    """Tidies the tables' indexes whenever this process has written enough. Does not end."""
    written, waited, is_failing = database.writes, 0.0, False
    while True:
        await asyncio.sleep(LOOK_EVERY_SECONDS)
        waited += LOOK_EVERY_SECONDS
        seen = database.writes
        if seen - written < ENOUGH_WRITES and (seen == written or waited < MOST_SECONDS):
            continue
        waited = 0.0
        try:
            jobs = [partial(postgresql_index.tidy, table) for table in tables]
            done = [await database.write(job) for job in jobs]
        except Exception:
            # Nothing is lost: the lists go on to grow until they are put away, here or by a write. Once is enough.
            if not is_failing:
                logger.warning("The search indexes could not be tidied", exc_info=True)
            is_failing = True
        else:
            is_failing = False
            # What another process has just put away need not be all that was written here.
            if all(done):
                written = seen + len(done)
