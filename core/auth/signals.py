"""What must follow a change of a user or a log-in to the admin, whoever makes it.

An admin page, a command, a shell.
"""

from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db import transaction
from django.db.models.signals import post_save
from django.dispatch import receiver

from core.auth import audit, sessions
from core.auth.accounts import revoke_access
from core.auth.audit import Event
from core.auth.backends import caller_of_any
from core.auth.models import User


@receiver(post_save, sender=User)
def end_access(instance: User, created: bool, **_: Any) -> None:
    """Ends sessions and keys of a user who is not active, sessions of one whose password was set anew.

    The services of the API, which spare the session that asks, store the hash without `set_password`.
    """
    if created:
        return
    if not instance.is_active:
        revoke_access(instance.id, because="deactivated")
    elif instance._password is not None:  # type: ignore[attr-defined]  # set until save() has ended
        sessions.end_sessions(instance.id, because="password set anew")


@receiver(user_logged_in)
def record_log_in(request: Any, user: User, **_: Any) -> None:
    """Sent by Django's log-in, which here only the admin uses."""
    _record(Event.LOGGED_IN, request, user)


@receiver(user_logged_out)
def record_log_out(request: Any, user: User | None, **_: Any) -> None:
    """Sent by Django's log-out; the user is None when there was none."""
    if user is not None:
        _record(Event.LOGGED_OUT, request, user)


def _record(kind: Event, request: Any, user: User) -> None:
    event = audit.record(kind, caller_of_any(request), user_id=user.id, detail="admin")
    transaction.on_commit(lambda: audit.announce([event]))
