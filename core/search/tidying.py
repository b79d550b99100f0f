"""Has PostgreSQL put into its indexes what it has laid beside them, before a request has to.

GIN does not take each row at once: that would change a hundred pages. New rows come into a list, and the write that
finds the list too long moves all of it into the index, which takes some 100 ms, and seconds if the server is busy.
Searches read the list from end to end, so it should not be long in any case.
"""

import asyncio
import logging
from collections.abc import Collection
from functools import partial

from core.database import database
from core.search import postgresql_index
from core.search.tables import SearchedTable

LOOK_EVERY_SECONDS = 1.0
# A tenth of what the list may hold, in rows of ordinary length. Much fewer at once would cost more for each.
ENOUGH_WRITES = 1024
# Fewer are put away when they have waited for so long.
MOST_SECONDS = 60.0

logger = logging.getLogger("agent_router.search")


async def tidy_in_time(tables: Collection[SearchedTable]) -> None:
    """Tidies the tables' indexes whenever this process has written enough. Does not end."""
    written, waited = database.writes, 0.0
    while True:
        await asyncio.sleep(LOOK_EVERY_SECONDS)
        waited += LOOK_EVERY_SECONDS
        news = database.writes - written
        if news >= ENOUGH_WRITES or (news and waited >= MOST_SECONDS):
            waited = 0.0
            seen = database.writes
            if (tidied := await _tidy(tuple(tables))) is not None:
                written = seen + tidied


async def _tidy(tables: Collection[SearchedTable]) -> int | None:
    """Returns how many writes that took, or None if one failed."""
    try:
        for table in tables:
            await database.write(partial(postgresql_index.tidy, table))
    except Exception:
        # Nothing is lost: the lists go on to grow until they are put away, here or by a write.
        logger.debug("The search indexes could not be tidied", exc_info=True)
        return None
    return len(tables)
