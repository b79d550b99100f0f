"""The admin's log-in.

Django's, with the same lock, the same time for every failure and the same record as the API's.
"""

from typing import Any
from uuid import UUID

from django.contrib.auth.backends import ModelBackend
from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from core.auth import audit, login
from core.auth.audit import Event
from core.auth.caller import NOWHERE, Caller, caller_of
from core.auth.digests import email_digest
from core.auth.emails import canonical_email
from core.auth.hashing import hashing
from core.auth.models import AuditEvent, User
from core.auth.passwords import verify_and_upgrade
from core.request import Request


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
        email, caller = canonical_email(username), caller_of_any(request)
        digest = email_digest(email)
        with transaction.atomic():
            account = login.count_try_and_find(email, digest)
        user_id, encoded = account or (None, hashing.nobodys_hash)
        is_right, upgraded = verify_and_upgrade(password, encoded)
        if user_id is None or not is_right:
            audit.announce(_note_failure(digest, user_id, caller))
            return None
        with transaction.atomic():
            return login.lock_proven_user(login.Proof(user_id, digest, encoded, upgraded))


def caller_of_any(request: Any) -> Caller:
    """The caller of a request of the service; nowhere for what tests and commands make."""
    return caller_of(request) if isinstance(request, Request) else NOWHERE


@transaction.atomic
def _note_failure(digest: str, user_id: UUID | None, caller: Caller) -> list[AuditEvent]:
    return login.note_failure(digest, user_id, caller, Event.LOG_IN_FAILED, detail="admin")
