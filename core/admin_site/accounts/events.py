"""The audit log in the admin, to read."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db import models
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from core.admin_site.accounts.staff import ReadOnly, program_column
from core.admin_site.large_tables import LargeTableAdmin
from core.auth.audit import Event
from core.auth.caller import known_ip
from core.auth.digests import email_digest
from core.auth.emails import canonical_email
from core.auth.models import AuditEvent, User


class EventFilter(admin.SimpleListFilter):
    """The kinds of events, known without asking a table that may be long."""

    title = parameter_name = "event"

    def lookups(self, *_: Any) -> list[tuple[str, str]]:
        return [(event, event.replace("_", " ")) for event in Event]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEvent]) -> QuerySet[AuditEvent]:
        return queryset.filter(event=self.value()) if self.value() else queryset


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnly, LargeTableAdmin):
    """What happened, the latest first."""

    list_display = ("created_at", "event", "user", "ip", "program", "detail")
    program = program_column
    list_filter = (EventFilter,)
    sortable_by = ("created_at",)
    date_hierarchy = "created_at"
    search_fields = ("user_id",)
    search_help_text = "An e-mail (whether it has an account or not), a user's id, or an IP address"

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEvent]:
        """With each event's e-mail as its user has it now."""
        email = User.objects.filter(id=models.OuterRef("user_id")).values("email")
        found: QuerySet[AuditEvent] = super().get_queryset(request)
        return found.annotate(user_email=models.Subquery(email))

    @admin.display(description="user")
    def user(self, event: AuditEvent) -> str:
        """The e-mail; the id of a user who is gone; what stands for an address without an account."""
        return getattr(event, "user_email", None) or str(event.user_id or event.email_digest[:16])

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEvent], search_term: str
    ) -> tuple[QuerySet[AuditEvent], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        if "@" in term:
            email = canonical_email(term)
            users = User.objects.filter(email=email).values("id")
            return queryset.filter(Q(user_id__in=users) | Q(email_digest=email_digest(email))), False
        if ip := known_ip(term):
            return queryset.filter(ip=ip), False
        try:
            return queryset.filter(user_id=UUID(term)), False
        except ValueError:
            return queryset.none(), False
