"""The audit log: for each event a database row for staff, a log line for machines and a metric for alerts.

None of them holds a password, token or key. An address that failed to log in is stored as a keyed digest, because
people type passwords into the e-mail field.
"""

import logging
from collections.abc import Iterable
from enum import StrEnum
from uuid import UUID

from core.auth import metrics
from core.auth.caller import Caller
from core.auth.models import AuditEvent

logger = logging.getLogger("agent_router.audit")

# From the name in the log line to the model's field. A name with `api_key` in it would be redacted as a secret.
LOGGED_FIELDS = {
    "user_id": "user_id",
    "email_digest": "email_digest",
    "session_id": "session_id",
    "key_id": "api_key_id",
    "ip": "ip",
    "user_agent": "user_agent",
    "detail": "detail",
}


class Event(StrEnum):
    REGISTERED = "registered"
    LOGGED_IN = "logged_in"
    LOGIN_FAILED = "log_in_failed"
    LOCKED = "account_locked"
    UNLOCKED = "account_unlocked"
    REFRESHED = "refreshed"
    REUSE_DETECTED = "refresh_reuse_detected"
    LOGGED_OUT = "logged_out"
    LOGGED_OUT_EVERYWHERE = "logged_out_everywhere"
    SESSION_ENDED = "session_ended"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105  # an event's name
    PASSWORD_REFUSED = "password_refused"  # noqa: S105
    EMAIL_CHANGED = "email_changed"
    DELETED = "account_deleted"
    DEACTIVATED = "account_deactivated"
    KEY_MADE = "api_key_made"
    KEY_NEW_ADDRESS = "api_key_used_from_new_address"
    KEY_REVOKED = "api_key_revoked"
    ACCESS_REVOKED = "access_revoked"
    TOKEN_MADE = "token_made"  # noqa: S105
    EXPORTED = "exported"


def record(
    event: Event,
    caller: Caller,
    *,
    user_id: UUID | None = None,
    email_digest: str = "",
    session_id: UUID | None = None,
    api_key_id: UUID | None = None,
    detail: str = "",
) -> AuditEvent:
    """Save an event in the open transaction. Call `announce` with it after the commit."""
    return AuditEvent.objects.create(
        event=event,
        user_id=user_id,
        email_digest=email_digest,
        session_id=session_id,
        api_key_id=api_key_id,
        detail=detail,
        **caller._asdict(),
    )


def announce(events: Iterable[AuditEvent]) -> None:
    for event in events:
        values = {name: getattr(event, field) for name, field in LOGGED_FIELDS.items()}
        extra = {name: str(value) for name, value in values.items() if value}
        logger.info(event.event, extra={"audit_event": str(event.event), **extra})
        metrics.events.labels(event.event).inc()
        if event.event == Event.REUSE_DETECTED:
            metrics.refresh_reuse.inc()
