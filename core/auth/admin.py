"""Accounts in the admin: users with their sessions and keys, and the record of what happened to them."""

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db import models, transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from core.admin_site.large_tables import LargeTableAdmin
from core.auth import accounts, audit, lockout
from core.auth.audit import Event
from core.auth.backends import caller_of_any
from core.auth.caller import known_ip
from core.auth.digests import email_digest
from core.auth.emails import canonical_email
from core.auth.forms import LogInForm, NewUserForm
from core.auth.models import APIKey, AuditEvent, Session, User

admin.site.login_form = LogInForm

# Who may hand out power: with these a member of the staff could make themselves a superuser.
POWERS = ("is_staff", "is_superuser", "groups", "user_permissions")


class ReadOnly:
    """For staff to look at; things happen to it through the API and the actions on users."""

    def has_add_permission(self, *_: Any) -> bool:
        return False

    def has_change_permission(self, *_: Any) -> bool:
        return False

    def has_delete_permission(self, *_: Any) -> bool:
        return False


class SessionInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = Session
    fields = ("created_at", "last_used_at", "ip", "user_agent", "expires_at", "revoked_at", "revoked_because")


class APIKeyInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = APIKey
    fields = (
        "name",
        "prefix",
        "scopes",
        "created_at",
        "last_used_at",
        "known_ips",
        "expires_at",
        "revoked_at",
    )


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
    readonly_fields = ("id", "created_at", "last_login")
    fieldsets = (
        (None, {"fields": ("id", "email", "password", "is_active")}),
        ("Powers", {"fields": POWERS}),
        ("Times", {"fields": ("created_at", "last_login")}),
    )
    add_form = NewUserForm
    add_fieldsets = ((None, {"classes": ("wide",), "fields": ("email", "password1", "password2")}),)
    inlines = (SessionInline, APIKeyInline)
    actions = ("revoke_access", "deactivate", "unlock")

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        return self.readonly_fields if _is_superuser(request) else (*self.readonly_fields, *POWERS)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and _may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and _may_touch(request, obj)

    def get_inlines(self, request: HttpRequest, obj: User | None) -> Any:
        return self.inlines if obj else ()

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and "is_active" in form.changed_data and not obj.is_active:
            _record(request, obj, Event.DEACTIVATED)

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
        _record(request, obj, Event.DELETED)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        users = _touchable(request, queryset)
        for user in users:
            _record(request, user, Event.DELETED)
        super().delete_queryset(request, users)

    @admin.action(description="Revoke sessions and API keys", permissions=["change"])
    def revoke_access(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Logs the users out everywhere; they may log in again."""
        for user in _touchable(request, queryset):
            accounts.revoke_access(user.id, because="revoked by staff")
            _record(request, user, Event.ACCESS_REVOKED)
        self.message_user(request, "Sessions and API keys have ended.", messages.SUCCESS)

    @admin.action(description="Deactivate", permissions=["change"])
    def deactivate(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Shuts the users out: sessions and keys end, and log-in is refused."""
        for user in _touchable(request, queryset):
            user.is_active = False
            user.save(update_fields=["is_active"])
            _record(request, user, Event.DEACTIVATED)
        self.message_user(request, "The accounts are deactivated.", messages.SUCCESS)

    @admin.action(description="Unlock (forget failed log-ins)", permissions=["change"])
    def unlock(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Lets the users try again at once."""
        for user in _touchable(request, queryset):
            lockout.forget_tries(email_digest(user.email))
            _record(request, user, Event.UNLOCKED)
        self.message_user(request, "The accounts are unlocked.", messages.SUCCESS)


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

    list_display = ("created_at", "event", "user", "ip", "user_agent", "detail")
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


def _is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))


def _may_touch(request: HttpRequest, user: User | None) -> bool:
    """Whoever could set the password of another member of the staff would have their powers."""
    is_powerless = user is None or not (user.is_superuser or user.is_staff) or user.pk == request.user.pk
    return is_powerless or _is_superuser(request)


def _touchable(request: HttpRequest, users: QuerySet[User]) -> QuerySet[User]:
    return users if _is_superuser(request) else users.filter(is_superuser=False, is_staff=False)


def _record(request: HttpRequest, user: User, kind: Event) -> None:
    detail = f"by {request.user.pk}"
    event = audit.record(kind, caller_of_any(request), user_id=user.id, detail=detail)
    transaction.on_commit(lambda: audit.announce([event]))
