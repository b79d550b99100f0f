"""Records when, and from which addresses, API keys are used.

Requests note uses in memory, and a background task saves them: each key's row at most once a minute over all
processes, and at once for a new address. A killed process loses the uses that it has not saved yet.
"""

import asyncio
import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import batched
from uuid import UUID

from core.auth import audit, metrics
from core.auth.audit import Event
from core.auth.caller import UNKNOWN_CALLER, canonical_ip
from core.auth.models import APIKey, AuditEvent
from core.database.pool import database
from core.process.background import BackgroundTask

logger = logging.getLogger(__name__)

WRITE_INTERVAL_SECONDS = 5
WRITE_KEY_EVERY = timedelta(seconds=60)
MAX_KEYS_NOTED = 10_000
KEYS_PER_TRANSACTION = 100
MAX_ADDRESSES = 16


@dataclass(slots=True)
class Use:
    """The time of the latest use of a key, and the addresses of all uses, since the last write."""

    at: float = 0.0
    ips: set[str] = field(default_factory=set)


class KeyUsage:
    """Collects uses on the event loop. It closes before the database, because closing writes the collected uses."""

    def __init__(self) -> None:
        self._uses: dict[UUID, Use] = {}
        self._task = BackgroundTask("key-usage")

    async def open(self) -> None:
        self._task.start(self._write_regularly())

    async def close(self) -> None:
        await self._task.stop()
        await self.write()

    def note(self, key_id: UUID, ip: str) -> None:
        """Note one use. Beyond MAX_KEYS_NOTED keys or MAX_ADDRESSES addresses, uses are ignored."""
        use = self._uses.get(key_id)
        if use is None:
            if len(self._uses) >= MAX_KEYS_NOTED:
                return
            use = self._uses[key_id] = Use()
        use.at = time.time()
        if len(use.ips) < MAX_ADDRESSES:
            use.ips.add(ip)

    async def write(self) -> None:
        """Save the collected uses. A failure is logged and counted, and its uses are dropped."""
        uses, self._uses = self._uses, {}
        for batch in batched(uses.items(), KEYS_PER_TRANSACTION):
            try:
                audit.announce(await database.write(partial(_write_uses, dict(batch))))
            except Exception:
                metrics.key_uses_lost.inc(len(batch))
                logger.warning("The last use of %d API keys could not be written", len(batch), exc_info=True)

    async def _write_regularly(self) -> None:
        while True:
            await asyncio.sleep(WRITE_INTERVAL_SECONDS)
            await self.write()


def _write_uses(uses: dict[UUID, Use]) -> list[AuditEvent]:
    # Rows are locked in id order to avoid deadlocks between processes.
    rows = APIKey.objects.select_for_update().filter(id__in=list(uses)).order_by("id")
    return [event for row in rows for event in _write_use(row, uses[row.id])]


def _write_use(row: APIKey, use: Use) -> list[AuditEvent]:
    at = datetime.fromtimestamp(use.at, UTC)
    known = row.known_ips.split()
    new = sorted(ip for text in use.ips if (ip := canonical_ip(text)) and ip not in known)
    is_due = row.last_used_at is None or at - row.last_used_at >= WRITE_KEY_EVERY
    if is_due:
        row.last_used_at = at
    if new:
        row.known_ips = " ".join((known + new)[-MAX_ADDRESSES:])
    if is_due or new:
        row.save(update_fields=["last_used_at", "known_ips"])
    return [
        audit.record(Event.KEY_NEW_ADDRESS, UNKNOWN_CALLER._replace(ip=ip), user_id=row.user_id, api_key_id=row.id)
        for ip in new
    ]


key_usage = KeyUsage()
