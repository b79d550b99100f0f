"""The admin pages of users."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db import transaction
from django.db.models import Exists, ForeignObjectRel, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from core.admin_site.accounts.forms import NewUserForm
from core.admin_site.accounts.staff import ReadOnly, changeable, is_superuser, log_action, record
from core.admin_site.confirmed import EVERYWHERE, confirmed, counted
from core.admin_site.large_tables import LargeTableAdmin
from core.auth import accounts
from core.auth.audit import Event
from core.auth.digests import email_digest
from core.auth.models import APIKey, Lockout, Session, User
from core.auth.passwords import lockout
from core.values import now

# Only superusers change these fields: other staff could make themselves superusers.
PERMISSION_FIELDS = ("is_staff", "is_superuser", "groups", "user_permissions")


class SessionInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = Session
    show_change_link = True
    fields = ("created_at", "last_used_at", "ip", "user_agent", "expires_at", "revoked_at", "revoked_because")


class APIKeyInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = APIKey
    show_change_link = True
    fields = ("name", "prefix", "scopes", "created_at", "last_used_at", "known_ips", "expires_at", "revoked_at")


def _with_access(request: HttpRequest, users: QuerySet[User]) -> QuerySet[User]:
    """Select users with a valid session or key, and staff, who may be logged in to the admin."""
    sessions = Session.objects.filter(user=OuterRef("pk"), revoked_at=None, expires_at__gt=now())
    keys = APIKey.objects.filter(Q(expires_at=None) | Q(expires_at__gt=now()), user=OuterRef("pk"), revoked_at=None)
    return changeable(request, users).filter(Q(is_staff=True) | Exists(sessions) | Exists(keys))


def _active_except_oneself(request: HttpRequest, users: QuerySet[User]) -> QuerySet[User]:
    oneself: Any = request.user.pk
    return changeable(request, users).filter(is_active=True).exclude(pk=oneself)


@admin.register(User)
class UserAdmin(LargeTableAdmin, DjangoUserAdmin):  # type: ignore[type-arg]
    """Only superusers grant permissions, and change or delete other members of staff."""

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
        ("Permissions", {"fields": PERMISSION_FIELDS}),
        ("Dates and events", {"fields": ("created_at", "last_login", "events")}),
    )
    add_form = NewUserForm
    add_fieldsets = ((None, {"classes": ("wide",), "fields": ("email", "password1", "password2")}),)
    inlines = (SessionInline, APIKeyInline)
    actions = ("revoke_access", "deactivate", "unlock")

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        return self.readonly_fields if is_superuser(request) else (*self.readonly_fields, *PERMISSION_FIELDS)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and _may_change(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and _may_change(request, obj)

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if request.user.has_perm("accounts.view_auditevent"):
            return fieldsets
        return [
            (title, {**options, "fields": [field for field in options["fields"] if field != "events"]})
            for title, options in fieldsets
        ]

    def get_inlines(self, request: HttpRequest, obj: User | None) -> Any:
        return self.inlines if obj else ()

    @admin.display(description="login locked")
    def locked(self, user: User) -> str:
        row = Lockout.objects.filter(email_digest=email_digest(user.email), locked_until__gt=now()).first()
        return f"until {row.locked_until:%Y-%m-%d %H:%M:%S}" if row else "no"

    @admin.display(description="audit log")
    def events(self, user: User) -> str:
        link = reverse("admin:accounts_auditevent_changelist")
        return format_html('<a href="{}?q={}">Audit events of this user</a>', link, user.pk)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and "is_active" in form.changed_data and not obj.is_active:
            record(request, Event.DEACTIVATED, obj.id)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Count the rows that would be deleted. Django would list each of perhaps a million items."""
        counts: dict[Any, int] = {User._meta.verbose_name_plural: len(objs)}
        for relation in User._meta.get_fields(include_hidden=True):
            if relation.one_to_many and isinstance(relation, ForeignObjectRel):
                model = relation.related_model
                count = model._base_manager.filter(**{f"{relation.field.name}__in": objs}).count()
                if count:
                    counts[model._meta.verbose_name_plural] = count
        return [str(user) for user in objs], counts, set(), []

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        record(request, Event.DELETED, obj.id)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        users = changeable(request, queryset)
        with transaction.atomic():
            for user in users:
                record(request, Event.DELETED, user.id)
            super().delete_queryset(request, users)

    @admin.action(description="Revoke sessions and API keys", permissions=["change"], location=EVERYWHERE)
    @confirmed(
        question="Revoke sessions and API keys?",
        consequence="Within a second, these users are logged out everywhere, in the admin too, and their keys stop "
        "working. They can log in again.",
        only=_with_access,
        none="you may not change any of these users, or none of them has a valid session or key",
    )
    def revoke_access(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        users = list(queryset)
        with transaction.atomic():
            for user in users:
                accounts.revoke_access(user.id, because="revoked by staff")
                record(request, Event.ACCESS_REVOKED, user.id)
            log_action(request, users, "Revoked sessions and API keys.")
        count = counted(len(users), "user has lost their", "users have lost their")
        self.message_user(request, f"{count} sessions and API keys.", messages.SUCCESS)

    @admin.action(description="Deactivate", permissions=["change"], location=EVERYWHERE)
    @confirmed(
        question="Deactivate users?",
        consequence="Within a second, their sessions and API keys end permanently. They cannot log in until the "
        "account is marked active again on its page. Their items are kept.",
        only=_active_except_oneself,
        none="you may not deactivate any of these users, or they are not active; nobody deactivates themselves",
    )
    def deactivate(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        users = list(queryset)
        with transaction.atomic():
            for user in users:
                user.is_active = False
                user.save(update_fields=["is_active"])
                record(request, Event.DEACTIVATED, user.id)
            log_action(request, users, "Deactivated.")
        self.message_user(request, counted(len(users), "user is", "users are") + " deactivated.", messages.SUCCESS)

    @admin.action(description="Unlock login", permissions=["change"], location=EVERYWHERE)
    @confirmed(
        question="Unlock login?",
        consequence="The failed logins of these users no longer count, so they can try again at once. "
        "So can an attacker who has been guessing their passwords.",
        only=changeable,
        none="only superusers unlock staff",
    )
    def unlock(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        users = list(queryset)
        with transaction.atomic():
            for user in users:
                lockout.clear_attempts(email_digest(user.email))
                record(request, Event.UNLOCKED, user.id)
            log_action(request, users, "Unlocked login.")
        count = counted(len(users), "user", "users")
        self.message_user(request, f"{count} can log in again at once.", messages.SUCCESS)


def _may_change(request: HttpRequest, user: User | None) -> bool:
    # By setting the password of another member of staff, one would gain their permissions.
    is_other_staff = user is not None and (user.is_superuser or user.is_staff) and user.pk != request.user.pk
    return not is_other_staff or is_superuser(request)
