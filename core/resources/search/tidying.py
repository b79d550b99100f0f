"""Moves PostgreSQL's pending lists into the search indexes, before a request has to.

GIN appends new rows to a list. The write that makes it too long moves all of it, which takes 60 ms, or seconds under
load (docs/decisions/0008-trigram-search.md).
"""

import asyncio
import logging
from collections.abc import Collection
from functools import partial

from core.database.pool import database
from core.resources.search import postgresql_index
from core.resources.search.tables import SearchedTable

LOOK_EVERY_SECONDS = 0.5
# PostgreSQL's default bound of the list: 4 MB. A smaller bound costs more per row.
PAGES = 512
# Bounds of the number of writes after which the list has this length, which depends on the texts and other processes.
FIRST_ENOUGH, LEAST_ENOUGH, MOST_ENOUGH = 64, 16, 4096
# Fewer writes are moved after this time.
MOST_SECONDS = 60.0

logger = logging.getLogger("agent_router.search")


async def tidy_in_time(tables: Collection[SearchedTable]) -> None:
    """Move the pending lists whenever this process has written enough. Runs until it is cancelled."""
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
            # Nothing is lost: a later round or a write moves the lists. Log the first failure only.
            if not is_failing:
                logger.warning("The search indexes could not be tidied", exc_info=True)
            is_failing = True
            continue
        is_failing = False
        # Another process may have moved only part of this process's writes.
        found = [count for count in pages if count is not None]
        if len(found) == len(pages):
            written += news + len(pages)
            # At most double, because another process may have moved the list a moment ago.
            fitting = min(2 * enough, news * PAGES // max([1, *found]))
            enough = min(MOST_ENOUGH, max(LEAST_ENOUGH, fitting))
