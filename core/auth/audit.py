"""The record of what happens to accounts: a row for staff, a log line for machines, a metric for alerts.

The row is saved in the transaction of what it tells, so that neither exists without the other; line and
metric follow the commit. None of them holds a secret: no password, token or key, and of an address that
failed to log in only a keyed digest, since it may be somebody's mistyped password.
"""

import logging
from collections.abc import Iterable
from enum import StrEnum
from typing import Any
from uuid import UUID

from core.auth import metrics
from core.auth.caller import Caller
from core.auth.models import AuditEvent

logger = logging.getLogger("agent_router.audit")

# As named in the log line, where a name with `api_key` in it would have its value taken for a secret.
NOTED = {
    "user_id": "user_id",
    "email_digest": "email_digest",
    "session_id": "session_id",
    "key_id": "api_key_id",
    "ip": "ip",
    "user_agent": "user_agent",
    "detail": "detail",
}


class Event(StrEnum):
    """Everything that is recorded."""

    REGISTERED = "registered"
    LOGGED_IN = "logged_in"
    LOG_IN_FAILED = "log_in_failed"
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
    """Saves the event in the transaction that is open; `announce` it after the commit."""
    return AuditEvent.objects.create(
        event=event,
        user_id=user_id,
        email_digest=email_digest,
        session_id=session_id,
        api_key_id=api_key_id,
        ip=caller.ip,
        user_agent=caller.user_agent,
        request_id=caller.request_id,
        detail=detail,
    )


def announce(events: Iterable[AuditEvent]) -> None:
    """Logs and counts events that are committed."""
    for event in events:
        noted: dict[str, Any] = {name: getattr(event, field) for name, field in NOTED.items()}
        extra = {name: str(value) for name, value in noted.items() if value}
        logger.info(event.event, extra={"audit_event": str(event.event), **extra})
        metrics.events.labels(event.event).inc()
        if event.event == Event.REUSE_DETECTED:
            metrics.refresh_reuse.inc()
