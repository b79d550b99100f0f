"""Read-only pages, the rows that staff may change, and the records of their changes."""

from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import models, transaction
from django.http import HttpRequest
from django.utils.text import Truncator

from core.admin_site.large_tables import LargeTableAdmin
from core.auth import audit
from core.auth.audit import Event
from core.auth.caller import caller_of


class ReadOnly:
    """A mixin for rows that staff view but do not edit. Only the API and actions change them."""

    def has_add_permission(self, *_: Any) -> bool:
        return False

    has_change_permission = has_delete_permission = has_add_permission


class ReadOnlyAdmin(ReadOnly, LargeTableAdmin):
    """Subclasses define `search`, which finds rows by a stripped term."""

    def get_search_results(
        self, request: HttpRequest, queryset: models.QuerySet[Any], search_term: str
    ) -> tuple[models.QuerySet[Any], bool]:
        term = search_term.strip()
        return (self.search(queryset, term) if term else queryset), False

    def search(self, rows: models.QuerySet[Any], term: str) -> models.QuerySet[Any]:
        raise NotImplementedError


@admin.display(description="client")
def client_column(self: Any, row: Any) -> str:
    return Truncator(row.user_agent).chars(48)


def is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))


def changeable[Q: models.QuerySet[Any]](request: HttpRequest, rows: Q, *, user: str = "") -> Q:
    """Select the rows that the user may change: only superusers change staff. `user` is the lookup prefix `user__`."""
    return rows if is_superuser(request) else rows.filter(**{f"{user}is_superuser": False, f"{user}is_staff": False})


def record(request: HttpRequest, kind: Event, user_id: UUID, **subject: Any) -> None:
    """Write to the audit log, in the open transaction."""
    event = audit.record(kind, caller_of(request), user_id=user_id, detail=f"by {request.user.pk}", **subject)
    transaction.on_commit(partial(audit.announce, [event]))


def log_action(request: HttpRequest, rows: Any, message: str) -> None:
    staff: Any = request.user.pk
    LogEntry.objects.log_actions(staff, rows, CHANGE, message)
