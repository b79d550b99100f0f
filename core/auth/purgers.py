"""Purges of expired account data, batch by batch."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib.sessions.models import Session as AdminSession
from django.db import transaction
from django.db.models import Q, QuerySet

from core.auth.models import APIKey, AuditEvent, Lockout, RefreshToken, Session
from core.values import now

# Deletes at most the given number of rows in one short transaction, and returns the number of deleted rows.
type Purge = Callable[[int], int]

# Users look for a key that has stopped working, so it stays listed for a while.
ENDED_KEYS_KEPT = timedelta(days=30)


def _refresh_tokens() -> QuerySet[RefreshToken]:
    # A used token stays until it would have expired, because its reuse reveals a theft (RFC 9700, section 4.14.2).
    return RefreshToken.objects.filter(expires_at__lt=now())


def _sessions() -> QuerySet[Session]:
    return Session.objects.filter(expires_at__lt=now())


def _api_keys() -> QuerySet[APIKey]:
    limit = now() - ENDED_KEYS_KEPT
    return APIKey.objects.filter(Q(expires_at__lt=limit) | Q(revoked_at__lt=limit))


def _login_attempts() -> QuerySet[Lockout]:
    return Lockout.objects.filter(forgotten_at__lt=now())


def _audit_events() -> QuerySet[AuditEvent]:
    return AuditEvent.objects.filter(created_at__lt=now() - timedelta(seconds=settings.AUDIT_RETENTION))


def _admin_sessions() -> QuerySet[AdminSession]:
    return AdminSession.objects.filter(expire_date__lt=now())


def _purge_batch(find_expired: Callable[[], QuerySet[Any]], batch_size: int) -> int:
    expired = find_expired()
    with transaction.atomic():
        # Rows locked by a request are left for the next purge instead of waiting for the lock.
        batch = expired.order_by("pk").select_for_update(skip_locked=True)[:batch_size]
        keys = [row.pk for row in batch]
        expired.model._default_manager.filter(pk__in=keys).delete()
    return len(keys)


PURGERS: dict[str, Purge] = {
    "refresh tokens": partial(_purge_batch, _refresh_tokens),
    "sessions": partial(_purge_batch, _sessions),
    "API keys": partial(_purge_batch, _api_keys),
    "login attempts": partial(_purge_batch, _login_attempts),
    "audit events": partial(_purge_batch, _audit_events),
    "admin sessions": partial(_purge_batch, _admin_sessions),
}
