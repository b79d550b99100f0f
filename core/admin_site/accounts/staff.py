"""What staff may change, and the records of their changes."""

from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import models, transaction
from django.http import HttpRequest
from django.utils.text import Truncator

from core.auth import audit
from core.auth.audit import Event
from core.auth.caller import caller_of


class ReadOnly:
    """A mixin for rows that staff view but do not edit. Only the API and actions change them."""

    def has_add_permission(self, *_: Any) -> bool:
        return False

    def has_change_permission(self, *_: Any) -> bool:
        return False

    def has_delete_permission(self, *_: Any) -> bool:
        return False


@admin.display(description="client")
def client_column(self: Any, row: Any) -> str:
    """Show the beginning of the user agent."""
    return Truncator(row.user_agent).chars(48)


def is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))


def changeable[Q: models.QuerySet[Any]](request: HttpRequest, rows: Q, *, user: str = "") -> Q:
    """Select the rows that this member of staff may change: only superusers change staff.

    `user` is the lookup prefix from a row to its user, such as `user__`.
    """
    return rows if is_superuser(request) else rows.filter(**{f"{user}is_superuser": False, f"{user}is_staff": False})


def record(request: HttpRequest, kind: Event, user_id: UUID, **subject: Any) -> None:
    """Write to the audit log what was done to a user and by whom, in the open transaction."""
    event = audit.record(kind, caller_of(request), user_id=user_id, detail=f"by {request.user.pk}", **subject)
    transaction.on_commit(partial(audit.announce, [event]))


def log_action(request: HttpRequest, rows: Any, message: str) -> None:
    """Write to Django's log, which the history page of each row shows."""
    staff: Any = request.user.pk
    LogEntry.objects.log_actions(staff, rows, CHANGE, message)
