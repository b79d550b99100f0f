"""Sessions and API keys in the admin: to look at, to find, and to revoke."""

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from core.admin_site.accounts.staff import ReadOnly, log_action, program_column, record, touchable
from core.admin_site.confirmed import EVERYWHERE, confirmed, counted
from core.admin_site.large_tables import LargeTableAdmin
from core.admin_site.user_column import user_column
from core.auth import sessions
from core.auth.audit import Event
from core.auth.emails import canonical_email
from core.auth.models import APIKey, Session, User
from core.values import now


def _live(rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows.filter(Q(expires_at=None) | Q(expires_at__gt=now()), revoked_at=None)


def _revocable(request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
    return touchable(request, _live(rows), user="user__")


class StateFilter(admin.SimpleListFilter):
    """Whether it still lets anybody in."""

    title = parameter_name = "state"

    def lookups(self, *_: Any) -> list[tuple[str, str]]:
        return [("good", "Good"), ("revoked", "Revoked"), ("expired", "Expired")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "good":
                return _live(queryset)
            case "revoked":
                return queryset.filter(revoked_at__isnull=False)
            case "expired":
                return queryset.filter(revoked_at=None, expires_at__lte=now())
        return queryset


class AccessAdmin(ReadOnly, LargeTableAdmin):
    """What sessions and keys have in common. Ids are made in the order of time: the newest come first."""

    list_filter = (StateFilter,)
    ordering = ("-id",)
    sortable_by = ()
    actions = ("revoke",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("user")

    def get_list_display(self, request: HttpRequest) -> Any:
        return [user_column(request, "user") if name == "user" else name for name in self.list_display]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [user_column(request, "user") if name == "user" else name for name in self.fields or ()]

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Whether they may end it: nothing else of it can be changed."""
        return request.user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}")

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[QuerySet[Any], bool]:
        """By the whole e-mail or id of its user, or by what names it itself."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if "@" in term:
            return queryset.filter(user__in=User.objects.filter(email=canonical_email(term))), False
        try:
            uuid = UUID(term)
        except ValueError:
            return self.find(queryset, term), False
        return queryset.filter(Q(pk=uuid) | Q(user_id=uuid)), False

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        """Those that the term names."""
        return rows.none()

    @admin.display(description="state")
    def state(self, one: Any) -> str:
        """Whether it is still good."""
        if one.revoked_at is not None:
            return "revoked"
        return "expired" if one.expires_at is not None and one.expires_at <= now() else "good"


@admin.register(Session)
class SessionAdmin(AccessAdmin):
    """Where users are logged in."""

    list_display = ("created_at", "user", "state", "last_used_at", "ip", "program")
    fields = (
        "id", "user", "state", "created_at", "last_used_at", "ip", "user_agent", "expires_at", "last_expires_at",
        "revoked_at", "revoked_because",
    )  # fmt: skip
    search_fields = ("user_id",)
    program = program_column
    search_help_text = "A user's whole e-mail, or the id of a user or a session"

    @admin.action(description="Revoke", permissions=["revoke"], location=EVERYWHERE)
    @confirmed(
        question="Revoke sessions?",
        consequence="Within a second whoever uses these sessions is logged out. They may log in again.",
        only=_revocable,
        none="none of these sessions is still good and yours to end",
    )
    def revoke(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        """Ends the sessions."""
        with transaction.atomic():
            chosen = list(queryset)
            rows = Session.objects.filter(pk__in=[one.pk for one in chosen])
            ids = sessions.end_chosen(rows, "revoked by staff")
            ended = [one for one in chosen if one.pk in ids]
            for one in ended:
                record(request, Event.SESSION_ENDED, one.user_id, session_id=one.pk)
            log_action(request, ended, "Revoked.")
        self.message_user(request, counted(len(ended), "session has ended.", "sessions have ended."), messages.SUCCESS)


@admin.register(APIKey)
class APIKeyAdmin(AccessAdmin):
    """The keys of scripts, without what is secret of them."""

    list_display = ("__str__", "name", "user", "state", "scopes", "created_at", "last_used_at", "expires_at")
    fields = (
        "id", "user", "name", "prefix", "state", "scopes", "created_at", "last_used_at", "known_ips", "expires_at",
        "revoked_at",
    )  # fmt: skip
    search_fields = ("prefix",)
    search_help_text = "A key's beginning (ar_…), a user's whole e-mail, or the id of a user or a key"

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        """By the part of a key that is no secret: also when somebody pastes a whole one."""
        return rows.filter(prefix=term.removeprefix("ar_").partition("_")[0])

    @admin.action(description="Revoke", permissions=["revoke"], location=EVERYWHERE)
    @confirmed(
        question="Revoke API keys?",
        consequence="Within a second these keys fail, for good: whoever uses them needs new ones.",
        only=_revocable,
        none="none of these keys is still good and yours to revoke",
    )
    def revoke(self, request: HttpRequest, queryset: QuerySet[APIKey]) -> None:
        """Ends the keys."""
        with transaction.atomic():
            chosen = list(queryset.select_for_update(of=("self",)))
            APIKey.objects.filter(pk__in=[key.pk for key in chosen]).update(revoked_at=now())
            for key in chosen:
                record(request, Event.KEY_REVOKED, key.user_id, api_key_id=key.pk)
            log_action(request, chosen, "Revoked.")
        self.message_user(request, counted(len(chosen), "API key is", "API keys are") + " revoked.", messages.SUCCESS)
