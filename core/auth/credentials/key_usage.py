"""When and from where API keys are used, noted in memory by requests and written by a task of its own.

No request waits for it. A key's row is written at most once a minute, whatever the number of requests and
processes, and in addition when the key comes from an address that it has not been used from lately, which is
an audit event. What is noted and not yet written is lost when the process is killed, and logged as lost when
the database refuses.
"""

import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from core.auth import audit, metrics
from core.auth.audit import Event
from core.auth.caller import NOWHERE, known_ip
from core.auth.models import APIKey, AuditEvent
from core.database.pool import database
from core.process.background import BackgroundTask

logger = logging.getLogger(__name__)

WRITE_EVERY_SECONDS = 5
WRITE_KEY_EVERY = timedelta(seconds=60)
KEYS_NOTED = 10_000
KEYS_A_JOB = 100
ADDRESSES_NOTED = 16


class Use:
    """A key's uses since the last write: the time of the latest, and the addresses they came from."""

    __slots__ = ("at", "ips")

    def __init__(self) -> None:
        self.at = 0.0
        self.ips: set[str] = set()


class KeyUsage:
    """Collects uses on the event loop.

    `open` and `close` belong to the lifespan, inside that of the database.
    """

    def __init__(self) -> None:
        self._uses: dict[UUID, Use] = {}
        self._task = BackgroundTask("key-usage")

    async def open(self) -> None:
        self._task.start(self._write_now_and_then())

    async def close(self) -> None:
        """Stops the task and writes what is left."""
        await self._task.stop()
        await self.write()

    def note(self, key_id: UUID, ip: str) -> None:
        """Notes one use.

        Bounded: beyond so many keys or addresses between two writes, further ones are not noted.
        """
        use = self._uses.get(key_id)
        if use is None:
            if len(self._uses) >= KEYS_NOTED:
                return
            use = self._uses[key_id] = Use()
        use.at = time.time()
        if len(use.ips) < ADDRESSES_NOTED:
            use.ips.add(ip)

    async def write(self) -> None:
        """Writes what was noted, some keys a transaction.

        Failure is logged and counted, and the notes are dropped.
        """
        uses, self._uses = list(self._uses.items()), {}
        for start in range(0, len(uses), KEYS_A_JOB):
            some = uses[start : start + KEYS_A_JOB]
            try:
                audit.announce(await database.write(partial(_write_uses, some)))
            except Exception:
                metrics.key_uses_lost.inc(len(some))
                logger.warning("The last use of %d API keys could not be written", len(some), exc_info=True)

    async def _write_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(WRITE_EVERY_SECONDS)
            await self.write()


def _write_uses(uses: list[tuple[UUID, Use]]) -> list[AuditEvent]:
    """One transaction. Keys in the order of their ids, so that two processes never wait for each other."""
    rows = APIKey.objects.select_for_update().in_bulk([key_id for key_id, _ in uses])
    events: list[AuditEvent] = []
    for key_id, use in sorted(uses, key=lambda noted: noted[0]):
        if (row := rows.get(key_id)) is not None:
            events += _write_use(row, use)
    return events


def _write_use(row: APIKey, use: Use) -> list[AuditEvent]:
    at = datetime.fromtimestamp(use.at, UTC)
    known = row.known_ips.split()
    new = sorted(ip for text in use.ips if (ip := known_ip(text)) and ip not in known)
    is_due = row.last_used_at is None or at - row.last_used_at >= WRITE_KEY_EVERY
    if is_due:
        row.last_used_at = at
    if new:
        row.known_ips = " ".join((known + new)[-ADDRESSES_NOTED:])
    if is_due or new:
        row.save(update_fields=["last_used_at", "known_ips"])
    callers = [NOWHERE._replace(ip=ip) for ip in new]
    return [audit.record(Event.KEY_NEW_ADDRESS, one, user_id=row.user_id, api_key_id=row.id) for one in callers]


key_usage = KeyUsage()
