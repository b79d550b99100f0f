"""Users in the admin."""

from datetime import UTC, datetime
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db import models, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from core.admin_site.accounts.log_in_form import NewUserForm
from core.admin_site.accounts.staff import ReadOnly, is_superuser, log_action, record, touchable
from core.admin_site.confirmed import EVERYWHERE, confirmed, counted
from core.admin_site.large_tables import LargeTableAdmin
from core.auth import accounts
from core.auth.audit import Event
from core.auth.digests import email_digest
from core.auth.models import APIKey, LogInTries, Session, User
from core.auth.passwords import lockout
from core.values import now

# Who may hand out power: with these a member of the staff could make themselves a superuser.
POWERS = ("is_staff", "is_superuser", "groups", "user_permissions")


class SessionInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = Session
    show_change_link = True
    fields = ("created_at", "last_used_at", "ip", "user_agent", "expires_at", "revoked_at", "revoked_because")


class APIKeyInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = APIKey
    show_change_link = True
    fields = ("name", "prefix", "scopes", "created_at", "last_used_at", "known_ips", "expires_at", "revoked_at")


def _with_access(request: HttpRequest, users: QuerySet[User]) -> QuerySet[User]:
    """Those who have a session or a key that is still good; and staff, who may be logged in to the admin."""
    sessions = Session.objects.filter(user=OuterRef("pk"), revoked_at=None, expires_at__gt=now())
    keys = APIKey.objects.filter(Q(expires_at=None) | Q(expires_at__gt=now()), user=OuterRef("pk"), revoked_at=None)
    return touchable(request, users).filter(Q(is_staff=True) | Exists(sessions) | Exists(keys))


def _others_active(request: HttpRequest, users: QuerySet[User]) -> QuerySet[User]:
    oneself: Any = request.user.pk
    return touchable(request, users).filter(is_active=True).exclude(pk=oneself)


@admin.register(User)
class UserAdmin(LargeTableAdmin, DjangoUserAdmin):  # type: ignore[type-arg]
    """Users; only superusers hand out powers, and change or end others who have some."""

    list_display = ("email", "is_active", "is_staff", "is_superuser", "created_at", "last_login")
    list_filter = ("is_active", "is_staff", "is_superuser")
    sortable_by = ("email", "created_at")
    date_hierarchy = "created_at"
    ordering = ("-created_at", "-id")
    search_fields = ("email",)
    search_help_text = "Part of an e-mail"
    readonly_fields = ("id", "created_at", "last_login", "locked", "events")
    fieldsets = (
        (None, {"fields": ("id", "email", "password", "is_active", "locked")}),
        ("Powers", {"fields": POWERS}),
        ("Times", {"fields": ("created_at", "last_login", "events")}),
    )
    add_form = NewUserForm
    add_fieldsets = ((None, {"classes": ("wide",), "fields": ("email", "password1", "password2")}),)
    inlines = (SessionInline, APIKeyInline)
    actions = ("revoke_access", "deactivate", "unlock")

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        return self.readonly_fields if is_superuser(request) else (*self.readonly_fields, *POWERS)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and _may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and _may_touch(request, obj)

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Without the way to the audit log for those who may not see it."""
        fieldsets = super().get_fieldsets(request, obj)
        if request.user.has_perm("accounts.view_auditevent"):
            return fieldsets
        return [
            (name, {**told, "fields": [one for one in told["fields"] if one != "events"]}) for name, told in fieldsets
        ]

    def get_inlines(self, request: HttpRequest, obj: User | None) -> Any:
        return self.inlines if obj else ()

    @admin.display(description="log-in locked")
    def locked(self, user: User) -> str:
        """Until when, if it is."""
        tries = LogInTries.objects.filter(email_digest=email_digest(user.email)).first()
        until = tries.locked_until if tries else None
        return f"until {until:%Y-%m-%d %H:%M:%S}" if until and until > datetime.now(UTC) else "no"

    @admin.display(description="what happened")
    def events(self, user: User) -> str:
        """Leads to the user's part of the audit log."""
        link = reverse("admin:accounts_auditevent_changelist")
        return format_html('<a href="{}?q={}">Audit events of this user</a>', link, user.pk)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and "is_active" in form.changed_data and not obj.is_active:
            record(request, Event.DEACTIVATED, obj.id)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """What would go with the users, in numbers: Django's page would name each of a million items."""
        counts: dict[Any, int] = {User._meta.verbose_name_plural: len(objs)}
        for relation in User._meta.get_fields(include_hidden=True):
            if relation.one_to_many and isinstance(relation, models.ForeignObjectRel):
                model = relation.related_model
                found = model._base_manager.filter(**{f"{relation.field.name}__in": objs}).count()
                counts |= {model._meta.verbose_name_plural: found} if found else {}
        return [str(user) for user in objs], counts, set(), []

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        record(request, Event.DELETED, obj.id)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        users = touchable(request, queryset)
        with transaction.atomic():
            for user in users:
                record(request, Event.DELETED, user.id)
            super().delete_queryset(request, users)

    @admin.action(description="Revoke sessions and API keys", permissions=["change"], location=EVERYWHERE)
    @confirmed(
        question="Revoke sessions and API keys?",
        consequence="Within a second these users are logged out everywhere, of the admin too, and their keys fail. "
        "They may log in again.",
        only=_with_access,
        none="none of these users, as far as you may change them, has a session or key that is still good",
    )
    def revoke_access(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Logs the users out everywhere."""
        users = list(queryset)
        with transaction.atomic():
            for user in users:
                accounts.revoke_access(user.id, because="revoked by staff")
                record(request, Event.ACCESS_REVOKED, user.id)
            log_action(request, users, "Revoked sessions and API keys.")
        told = counted(len(users), "user has lost their", "users have lost their")
        self.message_user(request, f"{told} sessions and API keys.", messages.SUCCESS)

    @admin.action(description="Deactivate", permissions=["change"], location=EVERYWHERE)
    @confirmed(
        question="Deactivate users?",
        consequence="Within a second their sessions and API keys end for good, and log-in is refused until the "
        "account is made active again on its page. What they own stays.",
        only=_others_active,
        none="none of these users is active and yours to deactivate; nobody deactivates themselves",
    )
    def deactivate(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Shuts the users out."""
        users = list(queryset)
        with transaction.atomic():
            for user in users:
                user.is_active = False
                user.save(update_fields=["is_active"])
                record(request, Event.DEACTIVATED, user.id)
            log_action(request, users, "Deactivated.")
        told = counted(len(users), "user is", "users are")
        self.message_user(request, f"{told} deactivated.", messages.SUCCESS)

    @admin.action(description="Unlock log-in", permissions=["change"], location=EVERYWHERE)
    @confirmed(
        question="Unlock log-in?",
        consequence="Failed log-ins of these users are forgotten, and they may try again at once. "
        "So may whoever has been guessing.",
        only=touchable,
        none="only superusers unlock the staff",
    )
    def unlock(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Lets the users try again at once."""
        users = list(queryset)
        with transaction.atomic():
            for user in users:
                lockout.forget_tries(email_digest(user.email))
                record(request, Event.UNLOCKED, user.id)
            log_action(request, users, "Unlocked log-in.")
        told = counted(len(users), "user", "users")
        self.message_user(request, f"{told} may log in again at once.", messages.SUCCESS)


def _may_touch(request: HttpRequest, user: User | None) -> bool:
    """Whoever could set the password of another member of the staff would have their powers."""
    is_powerless = user is None or not (user.is_superuser or user.is_staff) or user.pk == request.user.pk
    return is_powerless or is_superuser(request)
