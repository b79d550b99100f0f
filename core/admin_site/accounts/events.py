"""The admin page of the audit log."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest

from core.admin_site.accounts.staff import ReadOnlyAdmin, client_column
from core.auth.audit import Event
from core.auth.caller import canonical_ip
from core.auth.digests import email_digest
from core.auth.emails import canonical_email
from core.auth.models import AuditEvent, User


class EventFilter(admin.SimpleListFilter):
    """Offers every kind of event without a query on the table, which may be large."""

    title = parameter_name = "event"

    def lookups(self, *_: Any) -> list[tuple[str, str]]:
        return [(event, event.replace("_", " ")) for event in Event]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEvent]) -> QuerySet[AuditEvent]:
        return queryset.filter(event=self.value()) if self.value() else queryset


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "event", "user", "ip", "client", "detail")
    client = client_column
    list_filter = (EventFilter,)
    sortable_by = ("created_at",)
    date_hierarchy = "created_at"
    search_fields = ("user_id",)
    search_help_text = "E-mail (with or without an account), user id or IP address"

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEvent]:
        email = User.objects.filter(id=OuterRef("user_id")).values("email")
        events: QuerySet[AuditEvent] = super().get_queryset(request)
        return events.annotate(user_email=Subquery(email))

    @admin.display(description="user")
    def user(self, event: AuditEvent) -> str:
        """Show the e-mail, the id of a deleted user, or the digest of an address without an account."""
        return getattr(event, "user_email", None) or str(event.user_id or event.email_digest[:16])

    def search(self, rows: QuerySet[AuditEvent], term: str) -> QuerySet[AuditEvent]:
        if "@" in term:
            email = canonical_email(term)
            users = User.objects.filter(email=email).values("id")
            return rows.filter(Q(user_id__in=users) | Q(email_digest=email_digest(email)))
        if ip := canonical_ip(term):
            return rows.filter(ip=ip)
        try:
            return rows.filter(user_id=UUID(term))
        except ValueError:
            return rows.none()
