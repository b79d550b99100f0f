"""Accounts and everything by which somebody may act for one."""

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
    """Makes users, and finds them by e-mail whatever its case."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """A saved user. Hashes the password in this thread: not for the event loop."""
        if not email:
            raise ValueError("a user needs an e-mail address")
        user = self.model(email=canonical_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        """A user who may do everything, in the admin and in the API."""
        return self.create_user(email, password, **{**fields, "is_staff": True, "is_superuser": True})

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email=canonical_email(username or ""))


class User(AbstractBaseUser, PermissionsMixin):
    """An account. Its e-mail is its name, stored in canonical form, so unique whatever its case."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.EmailField(
        "e-mail",
        max_length=EMAIL_MAX_LENGTH,
        unique=True,
        error_messages={"unique": "A user with this e-mail exists."},
    )
    is_active = models.BooleanField(
        "active",
        default=True,
        help_text="Untick in place of deleting: ends every session and key within a second.",
    )
    is_staff = models.BooleanField("staff", default=False, help_text="Sees every item, and may enter the admin.")
    created_at = models.DateTimeField(default=now, editable=False)
    logged_out_at = models.DateTimeField(null=True, editable=False, help_text="When all sessions were ended at once.")

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
        """Stores it together with what must follow (core/auth/signals.py): sessions and keys that end."""
        with transaction.atomic(using=options.get("using")):
            super().save(**options)

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """What a session of the admin is held against: it ends with the password, and when all sessions end."""
        found: str = super()._get_session_auth_hash(secret)  # type: ignore[misc]
        return f"{found}:{self.logged_out_at.timestamp()}" if self.logged_out_at else found


class Session(models.Model):
    """One log-in: what its refresh tokens and access tokens live and die with."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField(help_text="When it was last refreshed.")
    ip = models.GenericIPAddressField("IP", null=True)
    user_agent = models.CharField(max_length=USER_AGENT_MAX_LENGTH, blank=True)
    expires_at = models.DateTimeField(db_index=True, help_text="Moves on with every refresh, up to the last.")
    last_expires_at = models.DateTimeField("expires at the latest")
    revoked_at = models.DateTimeField(null=True)
    revoked_because = models.CharField(max_length=32, blank=True)

    class Meta:
        ordering = ("-last_used_at", "-id")

    def __str__(self) -> str:
        return str(self.id)


class RefreshToken(models.Model):
    """One link of a session's chain of refresh tokens; only its digest is known here.

    A used one is kept until it would have expired, to recognize it when it is presented again. That a token
    has at most one successor is held by the database too: `parent` is unique.
    """

    digest = models.CharField(primary_key=True, max_length=DIGEST_LENGTH)
    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="refresh_tokens")
    parent = models.OneToOneField("self", on_delete=models.SET_NULL, null=True, related_name="successor")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"refresh token of session {self.session_id}"


class APIKey(models.Model):
    """A key for scripts: `ar_<prefix>_<secret>`, of which the secret is kept as a digest only."""

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
    known_ips = models.TextField(blank=True, help_text="Where it was used from lately, separated by spaces.")

    class Meta:
        ordering = ("-created_at", "-id")
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"ar_{self.prefix}_…"


class LogInTries(models.Model):
    """The latest tries to log in as one address, whether it has an account or not.

    See `core.auth.passwords.lockout`.
    """

    email_digest = models.CharField(primary_key=True, max_length=DIGEST_LENGTH)
    tried_at = models.TextField(help_text="JSON list of times, in seconds since 1970.")
    locked_until = models.DateTimeField(null=True)
    forgotten_at = models.DateTimeField(db_index=True, help_text="From when on this row means nothing.")

    class Meta:
        verbose_name_plural = "log-in tries"

    def __str__(self) -> str:
        return self.email_digest


class AuditEvent(models.Model):
    """What happened to an account.

    Names its subject without a foreign key: the record outlives the account.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created_at = models.DateTimeField(default=now, db_index=True)
    event = models.CharField(max_length=32, db_index=True)
    user_id = models.UUIDField(null=True, db_index=True)
    email_digest = models.CharField(
        max_length=DIGEST_LENGTH, blank=True, help_text="In place of an address that failed to log in."
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
