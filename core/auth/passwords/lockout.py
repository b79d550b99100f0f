"""Locks an e-mail address for a while after too many failed logins, from any IP address.

An attempt is counted before its password is hashed, so concurrent attempts cannot exceed the limit. Addresses without
an account are counted in the same way. All functions here require an open transaction.
"""

import json
import math
import time
from datetime import UTC, datetime

from django.conf import settings

from core.auth.models import Lockout
from core.http.problems import AccountLocked

STALE_ROWS_DELETED = 2


def count_attempt(email_digest: str) -> bool:
    """Count an attempt, and return whether it is the last attempt allowed. Raises AccountLocked."""
    row = _lock_row(email_digest)
    # Read after waiting for the lock, so that this time is not before the times of earlier attempts.
    now = time.time()
    if (wait := _locked_seconds(row, now)) > 0:
        detail = "Too many failed logins for this account. Existing sessions stay valid."
        raise AccountLocked(detail, headers={"Retry-After": str(math.ceil(wait))})
    # A lock that has expired starts a new count.
    attempts = [] if row.locked_until else json.loads(row.tried_at)
    # abs(), because the clock of another host may be ahead.
    recent = [*(at for at in attempts if abs(now - at) < settings.LOCKOUT_WINDOW), now]
    is_last = len(recent) >= settings.LOCKOUT_FAILURES
    row.tried_at = json.dumps(recent)
    row.locked_until = _moment(now + settings.LOCKOUT_DURATION) if is_last else None
    row.forgotten_at = _moment(now + max(settings.LOCKOUT_WINDOW, settings.LOCKOUT_DURATION))
    row.save()
    return is_last


def clear_attempts(email_digest: str) -> None:
    Lockout.objects.filter(email_digest=email_digest).delete()


def _lock_row(email_digest: str) -> Lockout:
    rows = Lockout.objects.select_for_update()
    if row := rows.filter(email_digest=email_digest).first():
        return row
    now = time.time()
    _delete_stale_rows(now)
    new = {"tried_at": "[]", "forgotten_at": _moment(now + settings.LOCKOUT_WINDOW)}
    row, _ = rows.get_or_create(email_digest=email_digest, defaults=new)
    return row


def _locked_seconds(row: Lockout, now: float) -> float:
    if row.locked_until is None:
        return 0
    wait = row.locked_until.timestamp() - now
    # Clocks of hosts differ a little. A much longer wait means that a clock was wrong, so the lock is ignored.
    return min(wait, settings.LOCKOUT_DURATION) if wait <= 2 * settings.LOCKOUT_DURATION else 0


def _delete_stale_rows(now: float) -> None:
    """Delete up to two stale rows for each new address, to bound the size of the table."""
    # Locked rows are skipped, because two transactions waiting for each other's rows could deadlock.
    stale = Lockout.objects.select_for_update(skip_locked=True).filter(forgotten_at__lt=_moment(now))
    if found := [row.pk for row in stale[:STALE_ROWS_DELETED]]:
        Lockout.objects.filter(pk__in=found).delete()


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
