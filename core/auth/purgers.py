"""How what accounts leave behind is deleted, batch by batch."""

from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.contrib.sessions.models import Session as AdminSession
from django.db import transaction
from django.db.models import Model, Q, QuerySet

from core.auth.models import APIKey, AuditEvent, LogInTries, RefreshToken, Session
from core.values import now

# Deletes at most the given number of rows in one short transaction, and returns how many it deleted.
type Purge = Callable[[int], int]

# Users look for a key that has stopped working; after this they will have found it.
ENDED_KEYS_KEPT = timedelta(days=30)


def _refresh_tokens() -> QuerySet[RefreshToken]:
    # Used ones as well, but not before they would have expired: until then they give a thief away.
    return RefreshToken.objects.filter(expires_at__lt=now())


def _sessions() -> QuerySet[Session]:
    return Session.objects.filter(expires_at__lt=now())


def _api_keys() -> QuerySet[APIKey]:
    then = now() - ENDED_KEYS_KEPT
    return APIKey.objects.filter(Q(expires_at__lt=then) | Q(revoked_at__lt=then))


def _log_in_tries() -> QuerySet[LogInTries]:
    return LogInTries.objects.filter(forgotten_at__lt=now())


def _audit_events() -> QuerySet[AuditEvent]:
    return AuditEvent.objects.filter(created_at__lt=now() - timedelta(seconds=settings.AUDIT_RETENTION))


def _admin_sessions() -> QuerySet[AdminSession]:
    return AdminSession.objects.filter(expire_date__lt=now())


def _in_batches[M: Model](find: Callable[[], QuerySet[M]]) -> Purge:
    def purge(batch_size: int) -> int:
        with transaction.atomic():
            # Rows that a request holds are left for the next time, rather than waited for.
            chosen = find().order_by("pk").select_for_update(skip_locked=True)[:batch_size]
            keys = [row.pk for row in chosen]
            find().model._default_manager.filter(pk__in=keys).delete()
        return len(keys)

    return purge


PURGERS: dict[str, Purge] = {
    "refresh tokens": _in_batches(_refresh_tokens),
    "sessions": _in_batches(_sessions),
    "API keys": _in_batches(_api_keys),
    "log-in tries": _in_batches(_log_in_tries),
    "audit events": _in_batches(_audit_events),
    "admin sessions": _in_batches(_admin_sessions),
}
