"""Idempotency records in the admin: view them, and purge the expired ones."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.html import format_html
from django.views.decorators.http import require_POST

from core.admin_site.confirmed import counted
from core.admin_site.large_tables import LargeTableAdmin
from core.models import IdempotencyRecord
from core.resources import idempotency
from core.values import now

PURGE_BATCH, MAX_PURGE_BATCHES = 1_000, 50


class ExpiredFilter(admin.SimpleListFilter):
    title, parameter_name = "expired", "expired"

    def lookups(self, *_: Any) -> list[tuple[str, str]]:
        return [("no", "No"), ("yes", "Yes")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() is None:
            return queryset
        return queryset.filter(**{"expires_at__lte" if self.value() == "yes" else "expires_at__gt": now()})


@admin.register(IdempotencyRecord)
class IdempotencyRecordAdmin(LargeTableAdmin):
    """Stored responses by key. If staff delete a record, a repeat of its request runs again."""

    change_list_template = "admin/core/idempotencyrecord/change_list.html"
    list_display = ("digest", "status", "location", "created_at", "expires_at")
    list_filter = (ExpiredFilter,)
    sortable_by = ("expires_at",)
    ordering = ("-expires_at",)
    date_hierarchy = "expires_at"
    search_fields = ("scope_digest",)
    search_help_text = "The beginning of the digest of principal, method, path and key"
    fields = ("scope_digest", "request_digest", "status", "location", "etag", "text", "created_at", "expires_at")
    readonly_fields = fields

    class Media:
        css = {"all": ("core/forms.css",)}

    def has_add_permission(self, *_: Any) -> bool:
        return False

    def has_change_permission(self, *_: Any) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        context = {"has_delete_permission": self.has_delete_permission(request), **(extra_context or {})}
        return super().changelist_view(request, context)

    def get_urls(self) -> list[Any]:
        purge = self.admin_site.admin_view(require_POST(self.purge_expired))
        return [path("purge/", purge, name="core_idempotencyrecord_purge"), *super().get_urls()]

    def purge_expired(self, request: HttpRequest) -> HttpResponse:
        """Delete expired records in batches, up to a limit that keeps the request short."""
        if not self.has_delete_permission(request):
            raise PermissionDenied
        purged = 0
        for _ in range(MAX_PURGE_BATCHES):
            count = idempotency.purge(PURGE_BATCH)
            purged += count
            if count < PURGE_BATCH:
                break
        message = counted(purged, "expired record was purged.", "expired records were purged.")
        self.message_user(request, message, messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:core_idempotencyrecord_changelist"))

    @admin.display(description="digest of the key")
    def digest(self, record: IdempotencyRecord) -> str:
        return f"{record.scope_digest[:16]}…"

    @admin.display(description="body")
    def text(self, record: IdempotencyRecord) -> str:
        return format_html('<pre class="json">{}</pre>', bytes(record.body).decode("utf-8", "replace"))

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip().removesuffix("…").lower()
        return (queryset.filter(pk__gte=term, pk__lt=term + "g") if term else queryset), False
