"""Purges of expired account data, batch by batch."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib.sessions.models import Session as AdminSession
from django.db import models, transaction
from django.db.models import Q, QuerySet

from core.auth.models import APIKey, AuditEvent, Lockout, RefreshToken, Session
from core.values import now

# Deletes at most the given number of rows in one short transaction, and returns the number of deleted rows.
type Purge = Callable[[int], int]

# Users look for a key that has stopped working, so it stays listed for a while.
ENDED_KEYS_KEPT = timedelta(days=30)


def _purge_past(model: type[models.Model], field: str, batch_size: int) -> int:
    return _delete_batch(model._default_manager.filter(**{f"{field}__lt": now()}), batch_size)


def _purge_api_keys(batch_size: int) -> int:
    limit = now() - ENDED_KEYS_KEPT
    return _delete_batch(APIKey.objects.filter(Q(expires_at__lt=limit) | Q(revoked_at__lt=limit)), batch_size)


def _purge_audit_events(batch_size: int) -> int:
    limit = now() - timedelta(seconds=settings.AUDIT_RETENTION)
    return _delete_batch(AuditEvent.objects.filter(created_at__lt=limit), batch_size)


def _delete_batch(expired: QuerySet[Any], batch_size: int) -> int:
    with transaction.atomic():
        # Rows locked by a request are left for the next purge instead of waiting for the lock.
        batch = expired.order_by("pk").select_for_update(skip_locked=True)[:batch_size]
        keys = [row.pk for row in batch]
        expired.model._default_manager.filter(pk__in=keys).delete()
    return len(keys)


PURGERS: dict[str, Purge] = {
    # A used token stays until it would have expired, because its reuse reveals a theft (RFC 9700, section 4.14.2).
    "refresh tokens": partial(_purge_past, RefreshToken, "expires_at"),
    "sessions": partial(_purge_past, Session, "expires_at"),
    "API keys": _purge_api_keys,
    "login attempts": partial(_purge_past, Lockout, "forgotten_at"),
    "audit events": _purge_audit_events,
    "admin sessions": partial(_purge_past, AdminSession, "expire_date"),
}
