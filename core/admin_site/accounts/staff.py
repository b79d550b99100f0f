"""What staff may do to whom, and the record of what they did."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import models, transaction
from django.http import HttpRequest
from django.utils.text import Truncator

from core.auth import audit
from core.auth.audit import Event
from core.auth.backends import caller_of_any


class ReadOnly:
    """For staff to look at; things happen to it through the API and by actions."""

    def has_add_permission(self, *_: Any) -> bool:
        return False

    def has_change_permission(self, *_: Any) -> bool:
        return False

    def has_delete_permission(self, *_: Any) -> bool:
        return False


@admin.display(description="program")
def program_column(self: Any, row: Any) -> str:
    """The beginning of what a client calls itself; browsers go on for lines."""
    return Truncator(row.user_agent).chars(48)


def is_superuser(request: HttpRequest) -> bool:
    """Whether the one who asks may do everything."""
    return bool(getattr(request.user, "is_superuser", False))


def touchable[Q: models.QuerySet[Any]](request: HttpRequest, rows: Q, *, user: str = "") -> Q:
    """Those that the one who asks may change: the staff are for superusers. `user` is the way to the row's user."""
    return rows if is_superuser(request) else rows.filter(**{f"{user}is_superuser": False, f"{user}is_staff": False})


def record(request: HttpRequest, kind: Event, user_id: UUID, **subject: Any) -> None:
    """Has the audit log say what was done to a user, and by whom; in the transaction that does it."""
    event = audit.record(kind, caller_of_any(request), user_id=user_id, detail=f"by {request.user.pk}", **subject)
    transaction.on_commit(lambda: audit.announce([event]))


def log_action(request: HttpRequest, rows: Any, message: str) -> None:
    """Has Django's log say it too, where the history of each of the rows shows it."""
    staff: Any = request.user.pk
    LogEntry.objects.log_actions(staff, rows, CHANGE, message)
