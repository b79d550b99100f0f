"""Has PostgreSQL put into its indexes what it has laid beside them, before a request has to.

GIN does not take each row at once: that would change a hundred pages. New rows come into a list, and the write that
finds the list too long moves all of it into the index, which takes some 60 ms, and seconds if the server is busy.
Searches read the list from end to end, so it should not be long in any case.
"""

import asyncio
import logging
from collections.abc import Collection
from functools import partial

from core.database.pool import database
from core.resources.search import postgresql_index
from core.resources.search.tables import SearchedTable

LOOK_EVERY_SECONDS = 0.5
# As long as PostgreSQL's own bound lets the list become: 4 MB. Shorter ones would cost more for each row.
PAGES = 512
# After how many writes of this process that is, is seen from the list: a long text takes several pages, a short one a
# fifth of one, and other processes write, too.
FIRST_ENOUGH, LEAST_ENOUGH, MOST_ENOUGH = 64, 16, 4096
# Fewer are put away when they have waited for so long.
MOST_SECONDS = 60.0

logger = logging.getLogger("agent_router.search")


async def tidy_in_time(tables: Collection[SearchedTable]) -> None:
    """Tidies the tables' indexes whenever this process has written enough. Does not end."""
    written, enough, waited, is_failing = database.writes, FIRST_ENOUGH, 0.0, False
    while True:
        await asyncio.sleep(LOOK_EVERY_SECONDS)
        waited += LOOK_EVERY_SECONDS
        news = database.writes - written
        if news < enough and (not news or waited < MOST_SECONDS):
            continue
        waited = 0.0
        try:
            jobs = [partial(postgresql_index.tidy, table) for table in tables]
            pages = [await database.write(job) for job in jobs]
        except Exception:
            # Nothing is lost: the lists go on to grow until they are put away, here or by a write. Once is enough.
            if not is_failing:
                logger.warning("The search indexes could not be tidied", exc_info=True)
            is_failing = True
            continue
        is_failing = False
        # What another process has just put away need not be all that was written here.
        found = [count for count in pages if count is not None]
        if len(found) == len(pages):
            written += news + len(pages)
            # At most twice as many as before: the list may have been put away by others a moment ago.
            fitting = min(2 * enough, news * PAGES // max([1, *found]))
            enough = min(MOST_ENOUGH, max(LEAST_ENOUGH, fitting))
