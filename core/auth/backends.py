"""The admin's log-in.

Django's, with the same lock, the same time for every failure and the same record as the API's.
"""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from core.auth import audit, login
from core.auth.audit import Event
from core.auth.caller import NOWHERE, Caller, caller_of
from core.auth.emails import canonical_email
from core.auth.models import User
from core.auth.passwords.hashing import hashing
from core.auth.passwords.rules import verify_and_upgrade
from core.http.request import Request


class AccountBackend(ModelBackend):
    """Synchronous, and on Django's one thread for the admin.

    One hash at a time, beside those of the API's pool.
    """

    @sensitive_variables("password")
    def authenticate(
        self, request: Any, username: str | None = None, password: str | None = None, **_: Any
    ) -> User | None:
        """The user whose password this is. Raises AccountLocked after too many failures."""
        if username is None or password is None:
            return None
        with transaction.atomic():
            one = login.begin_try(canonical_email(username))
        is_right, upgraded = verify_and_upgrade(password, one.encoded or hashing.nobodys_hash)
        with transaction.atomic():
            if one.user_id is not None and is_right:
                return login.lock_proven_user(login.Proof(one.user_id, one.email_digest, one.encoded, upgraded))
            events = login.note_failure(one, caller_of_any(request), Event.LOG_IN_FAILED, detail="admin")
        audit.announce(events)
        return None


def caller_of_any(request: Any) -> Caller:
    """The caller of a request of the service; nowhere for what tests and commands make."""
    return caller_of(request) if isinstance(request, Request) else NOWHERE
