"""Users, and the sessions, keys and records that belong to them."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models, transaction

from core.auth.digests import DIGEST_LENGTH
from core.auth.emails import EMAIL_MAX_LENGTH, canonical_email
from core.values import now, uuid7

USER_AGENT_MAX_LENGTH = 255
KEY_NAME_MAX_LENGTH = 100
KEY_PREFIX_LENGTH = 12


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Save a user and return it. Hashes the password in this thread, so do not call it on the event loop."""
        if not email:
            raise ValueError("a user needs an e-mail address")
        user = self.model(email=canonical_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, **{**fields, "is_staff": True, "is_superuser": True})

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email=canonical_email(username or ""))


class User(AbstractBaseUser, PermissionsMixin):
    """An account. Its user name is the canonical e-mail address, so it is unique in any case."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.EmailField(
        "e-mail",
        max_length=EMAIL_MAX_LENGTH,
        unique=True,
        error_messages={"unique": "A user with this e-mail already exists."},
    )
    is_active = models.BooleanField(
        "active",
        default=True,
        help_text="Untick this instead of deleting the account: all sessions and API keys end within a second.",
    )
    is_staff = models.BooleanField("staff", default=False, help_text="May log in to the admin, and sees every item.")
    created_at = models.DateTimeField(default=now, editable=False)
    logged_out_at = models.DateTimeField(
        null=True, editable=False, help_text="When the user or staff last ended all sessions."
    )

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        ordering = ("-created_at", "-id")
        indexes = (models.Index(fields=["-created_at", "-id"], name="user_by_age"),)

    def __str__(self) -> str:
        return self.email

    def clean(self) -> None:
        self.email = canonical_email(self.email)

    def save(self, **options: Any) -> None:
        """Save the user, and end sessions and keys (core/auth/signals.py), in one transaction."""
        with transaction.atomic(using=options.get("using")):
            super().save(**options)

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        # Django ends an admin session when this value changes: with the password, or when all sessions end.
        auth_hash: str = super()._get_session_auth_hash(secret)  # type: ignore[misc]
        return f"{auth_hash}:{self.logged_out_at.timestamp()}" if self.logged_out_at else auth_hash


class Session(models.Model):
    """A login. Its refresh tokens and access tokens end with it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField(help_text="When the session began or was last refreshed.")
    ip = models.GenericIPAddressField("IP", null=True)
    user_agent = models.CharField(max_length=USER_AGENT_MAX_LENGTH, blank=True)
    expires_at = models.DateTimeField(db_index=True, help_text="Each refresh extends it, up to the latest expiry.")
    last_expires_at = models.DateTimeField("latest expiry")
    revoked_at = models.DateTimeField(null=True)
    revoked_because = models.CharField(max_length=32, blank=True)

    class Meta:
        ordering = ("-last_used_at", "-id")

    def __str__(self) -> str:
        return str(self.id)


class RefreshToken(models.Model):
    """A refresh token, stored as a digest. A used token is kept until it would have expired, to detect its reuse."""

    digest = models.CharField(primary_key=True, max_length=DIGEST_LENGTH)
    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="refresh_tokens")
    # Unique, so that the database enforces at most one successor.
    parent = models.OneToOneField("self", on_delete=models.SET_NULL, null=True, related_name="successor")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"refresh token of session {self.session_id}"


class APIKey(models.Model):
    """A key for scripts, `ar_<prefix>_<secret>`. The secret is stored as a digest."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=KEY_NAME_MAX_LENGTH)
    prefix = models.CharField(max_length=KEY_PREFIX_LENGTH, unique=True)
    digest = models.CharField(max_length=DIGEST_LENGTH)
    scopes = models.CharField(max_length=200, help_text="Separated by spaces.")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
    known_ips = models.TextField("known IPs", blank=True, help_text="Recent client addresses, separated by spaces.")

    class Meta:
        ordering = ("-created_at", "-id")
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"ar_{self.prefix}_…"


class Lockout(models.Model):
    """The recent login attempts for an e-mail address, with or without an account (core/auth/passwords/lockout.py)."""

    email_digest = models.CharField(primary_key=True, max_length=DIGEST_LENGTH)
    tried_at = models.TextField(help_text="JSON list of times, in seconds since 1970.")
    locked_until = models.DateTimeField(null=True)
    forgotten_at = models.DateTimeField(db_index=True, help_text="When the row becomes stale.")

    class Meta:
        db_table = "accounts_logintries"  # the model's first name

    def __str__(self) -> str:
        return self.email_digest


class AuditEvent(models.Model):
    """An event of the audit log. It has no foreign keys, because it outlives the account."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created_at = models.DateTimeField(default=now, db_index=True)
    event = models.CharField(max_length=32, db_index=True)
    user_id = models.UUIDField(null=True, db_index=True)
    email_digest = models.CharField(
        max_length=DIGEST_LENGTH, blank=True, help_text="Stands for the address of a failed login."
    )
    session_id = models.UUIDField(null=True)
    api_key_id = models.UUIDField(null=True)
    ip = models.GenericIPAddressField("IP", null=True)
    user_agent = models.CharField(max_length=USER_AGENT_MAX_LENGTH, blank=True)
    request_id = models.CharField(max_length=128, blank=True)
    detail = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ("-created_at", "-id")

    def __str__(self) -> str:
        return f"{self.event} {self.created_at:%Y-%m-%d %H:%M:%S}"
