"""Receivers for logins to the admin, and for changes of users by the admin, a command or a shell."""

from functools import partial
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db import transaction
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.http import HttpRequest

from core.auth import audit, sessions
from core.auth.accounts import revoke_access
from core.auth.audit import Event
from core.auth.caller import caller_of
from core.auth.models import User


@receiver(post_save, sender=User)
def end_access(instance: User, created: bool, **_: Any) -> None:
    """End the sessions and keys of a deactivated user, and the sessions of a user with a new password."""
    if created:
        return
    if not instance.is_active:
        revoke_access(instance.id, because="deactivated")
    # Only set_password() sets `_password`, until save() returns. The API stores the hash, to keep the current session.
    elif instance._password is not None:  # type: ignore[attr-defined]
        sessions.end_user_sessions(instance.id, because="new password")


@receiver(user_logged_in)
def record_login(request: HttpRequest, user: User, **_: Any) -> None:
    _record(Event.LOGGED_IN, request, user)


@receiver(user_logged_out)
def record_logout(request: HttpRequest, user: User | None, **_: Any) -> None:
    if user is not None:
        _record(Event.LOGGED_OUT, request, user)


def _record(kind: Event, request: HttpRequest, user: User) -> None:
    event = audit.record(kind, caller_of(request), user_id=user.id, detail="admin")
    transaction.on_commit(partial(audit.announce, [event]))
