"""The admin's authentication backend. It shares lockout, timing and audit log with the API's login."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from core.auth import audit, login
from core.auth.audit import Event
from core.auth.caller import caller_of
from core.auth.emails import canonical_email
from core.auth.models import User


class AccountBackend(ModelBackend):
    """Hashes in Django's one thread for the admin, so at most one hash at a time beside the API's pool."""

    @sensitive_variables("password")
    def authenticate(
        self, request: Any, username: str | None = None, password: str | None = None, **_: Any
    ) -> User | None:
        if username is None or password is None:
            return None
        with transaction.atomic():
            attempt = login.count_attempt(canonical_email(username))
        proof = login.verify(attempt, password)
        with transaction.atomic():
            if proof is not None:
                return login.lock_proven_user(proof)
            events = login.record_failure(attempt, caller_of(request), Event.LOGIN_FAILED, detail="admin")
        audit.announce(events)
        return None
