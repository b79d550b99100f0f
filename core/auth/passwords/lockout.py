"""Against guessing.

So many failed log-ins for one address, from wherever they come, and it is locked for a while.

A try is counted before its password is hashed, so that of many at once no more than the limit are tried; a
success forgets them. Addresses without an account are counted alike. The counts are in the database, so they
hold on every process and host, with and without Redis. All functions here run inside a transaction.
"""

import json
import math
import time
from datetime import UTC, datetime

from django.conf import settings

from core.auth.models import LogInTries
from core.http.problems import AccountLocked

STALE_ROWS_DROPPED = 2


def count_try(email_digest: str) -> bool:
    """Counts one try; whether it is the last one that is allowed.

    Raises AccountLocked when no more are, in which case nothing has changed.
    """
    row = _lock_row(email_digest)
    # Only now: whoever had the row before has written a time of its own into it.
    now = time.time()
    if (wait := _locked_seconds(row, now)) > 0:
        raise locked(wait)
    # After a lock has run out, as after a success, the count starts anew.
    tried_at = [] if row.locked_until else json.loads(row.tried_at)
    # The clock of the host that counted one may be ahead of this one's.
    recent = [*(at for at in tried_at if abs(now - at) < settings.LOCKOUT_WINDOW), now]
    is_last = len(recent) >= settings.LOCKOUT_FAILURES
    row.tried_at = json.dumps(recent)
    row.locked_until = _moment(now + settings.LOCKOUT_DURATION) if is_last else None
    row.forgotten_at = _moment(now + max(settings.LOCKOUT_WINDOW, settings.LOCKOUT_DURATION))
    row.save()
    return is_last


def forget_tries(email_digest: str) -> None:
    """After a success, or when staff unlock the account."""
    LogInTries.objects.filter(email_digest=email_digest).delete()


def locked(wait_seconds: float) -> AccountLocked:
    """The problem that a refused try is answered with."""
    seconds = math.ceil(wait_seconds)
    return AccountLocked(
        "Too many failed log-ins for this account. Sessions that exist go on.",
        headers={"Retry-After": str(seconds)},
    )


def _lock_row(email_digest: str) -> LogInTries:
    """The address's row, made if need be, and locked until the transaction ends."""
    rows = LogInTries.objects.select_for_update()
    if row := rows.filter(email_digest=email_digest).first():
        return row
    _drop_stale_rows(now := time.time())
    new = {"tried_at": "[]", "forgotten_at": _moment(now + settings.LOCKOUT_WINDOW)}
    return rows.get_or_create(email_digest=email_digest, defaults=new)[0]


def _locked_seconds(row: LogInTries, now: float) -> float:
    if row.locked_until is None:
        return 0
    wait = row.locked_until.timestamp() - now
    # Clocks of hosts differ a little. But beyond all reason the clock was wrong when the lock was set, or is now:
    # nobody stays out for that.
    is_credible = wait <= 2 * settings.LOCKOUT_DURATION
    return min(wait, settings.LOCKOUT_DURATION) if is_credible else 0


def _drop_stale_rows(now: float) -> None:
    """Drops up to two old rows for each new address, so the table holds what is recent and little more."""
    # Locked ones are somebody else's to drop: waiting for each other's rows could be a deadlock.
    stale = LogInTries.objects.select_for_update(skip_locked=True).filter(forgotten_at__lt=_moment(now))
    if found := [row.pk for row in stale[:STALE_ROWS_DROPPED]]:
        LogInTries.objects.filter(pk__in=found).delete()


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
