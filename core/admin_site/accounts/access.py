"""The admin pages of login sessions and API keys: view, search and revoke."""

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from core.admin_site.accounts.staff import ReadOnlyAdmin, changeable, client_column, log_action, record
from core.admin_site.confirmed import EVERYWHERE, confirmed, counted
from core.admin_site.user_column import user_column
from core.auth import sessions
from core.auth.audit import Event
from core.auth.emails import canonical_email
from core.auth.models import APIKey, Session, User
from core.values import now


def _valid(rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows.filter(Q(expires_at=None) | Q(expires_at__gt=now()), revoked_at=None)


def _revocable(request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
    return changeable(request, _valid(rows), user="user__")


class StateFilter(admin.SimpleListFilter):
    title = parameter_name = "state"

    def lookups(self, *_: Any) -> list[tuple[str, str]]:
        return [("valid", "Valid"), ("revoked", "Revoked"), ("expired", "Expired")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "valid":
                return _valid(queryset)
            case "revoked":
                return queryset.filter(revoked_at__isnull=False)
            case "expired":
                return queryset.filter(revoked_at=None, expires_at__lte=now())
        return queryset


class AccessAdmin(ReadOnlyAdmin):
    list_filter = (StateFilter,)
    ordering = ("-id",)  # Ids are UUIDv7, so the newest come first.
    sortable_by = ()
    actions = ("revoke",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("user")

    def get_list_display(self, request: HttpRequest) -> Any:
        return [user_column(request, "user") if name == "user" else name for name in self.list_display]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [user_column(request, "user") if name == "user" else name for name in self.fields or ()]

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}")

    def search(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        if "@" in term:
            return rows.filter(user__in=User.objects.filter(email=canonical_email(term)))
        try:
            uuid = UUID(term)
        except ValueError:
            return self.find_by_name(rows, term)
        return rows.filter(Q(pk=uuid) | Q(user_id=uuid))

    def find_by_name(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        return rows.none()

    @admin.display(description="state")
    def state(self, row: Any) -> str:
        if row.revoked_at is not None:
            return "revoked"
        return "expired" if row.expires_at is not None and row.expires_at <= now() else "valid"


@admin.register(Session)
class SessionAdmin(AccessAdmin):
    list_display = ("created_at", "user", "state", "last_used_at", "ip", "client")
    fields = (
        "id", "user", "state", "created_at", "last_used_at", "ip", "user_agent", "expires_at", "last_expires_at",
        "revoked_at", "revoked_because",
    )  # fmt: skip
    search_fields = ("user_id",)
    client = client_column
    search_help_text = "A user's whole e-mail, or the id of a user or session"

    @admin.action(description="Revoke", permissions=["revoke"], location=EVERYWHERE)
    @confirmed(
        question="Revoke sessions?",
        consequence="Within a second, these sessions are logged out. Their users can log in again.",
        only=_revocable,
        none="you may not revoke any of these sessions, or they have already ended",
    )
    def revoke(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        with transaction.atomic():
            chosen = list(queryset)
            rows = Session.objects.filter(pk__in=[session.pk for session in chosen])
            ids = sessions.revoke_sessions(rows, "revoked by staff")
            ended = [session for session in chosen if session.pk in ids]
            for session in ended:
                record(request, Event.SESSION_ENDED, session.user_id, session_id=session.pk)
            log_action(request, ended, "Revoked.")
        self.message_user(request, counted(len(ended), "session has ended.", "sessions have ended."), messages.SUCCESS)


@admin.register(APIKey)
class APIKeyAdmin(AccessAdmin):
    list_display = ("__str__", "name", "user", "state", "scopes", "created_at", "last_used_at", "expires_at")
    fields = (
        "id", "user", "name", "prefix", "state", "scopes", "created_at", "last_used_at", "known_ips", "expires_at",
        "revoked_at",
    )  # fmt: skip
    search_fields = ("prefix",)
    search_help_text = "The beginning of a key (ar_…), a user's whole e-mail, or the id of a user or key"

    def find_by_name(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        """Search by the public prefix, also when the term is a whole key."""
        return rows.filter(prefix=term.removeprefix("ar_").partition("_")[0])

    @admin.action(description="Revoke", permissions=["revoke"], location=EVERYWHERE)
    @confirmed(
        question="Revoke API keys?",
        consequence="Within a second, these keys stop working, and they cannot be restored. Their users need new keys.",
        only=_revocable,
        none="you may not revoke any of these keys, or they are no longer valid",
    )
    def revoke(self, request: HttpRequest, queryset: QuerySet[APIKey]) -> None:
        with transaction.atomic():
            chosen = list(queryset.select_for_update(of=("self",)))
            APIKey.objects.filter(pk__in=[key.pk for key in chosen]).update(revoked_at=now())
            for key in chosen:
                record(request, Event.KEY_REVOKED, key.user_id, api_key_id=key.pk)
            log_action(request, chosen, "Revoked.")
        self.message_user(request, counted(len(chosen), "API key is", "API keys are") + " revoked.", messages.SUCCESS)
