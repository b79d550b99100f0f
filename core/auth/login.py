"""Logging in, and proving to know the password of an account.

An address without an account takes the same way as a wrong password, step by step: a place in the queue, one
transaction that counts the try and looks the account up, one hash, one transaction that notes the failure. So
neither body nor status nor time tells whether an address has an account.
"""

from functools import partial
from typing import NamedTuple
from uuid import UUID

from core.auth import audit, sessions
from core.auth.audit import Event
from core.auth.caller import Caller
from core.auth.credentials.identify import CHALLENGE
from core.auth.digests import email_digest
from core.auth.emails import canonical_email
from core.auth.models import AuditEvent, User
from core.auth.passwords import lockout
from core.auth.passwords.hashing import hashing
from core.auth.passwords.rules import verify_and_upgrade
from core.database.pool import database
from core.http.problems import Problem, Unauthorized
from core.values import now


class Try(NamedTuple):
    """A try that was counted, and the active account that it is for; without one, no id and no hash."""

    email_digest: str
    is_last: bool
    user_id: UUID | None
    encoded: str

    def __repr__(self) -> str:
        return f"Try(user_id={self.user_id})"


class Proof(NamedTuple):
    """A password that was right: for which account, and the hash that it was compared with."""

    user_id: UUID
    email_digest: str
    encoded: str
    upgraded: str | None
    """The same password's hash with parameters that have changed since; None when they have not."""

    def __repr__(self) -> str:
        return f"Proof(user_id={self.user_id})"


def wrong_credentials() -> Unauthorized:
    """The one answer to an unknown address, a wrong password and an account that is not active."""
    return Unauthorized("E-mail or password is wrong", headers=CHALLENGE)


async def log_in(email: str, password: str, caller: Caller) -> sessions.Tokens:
    """Tokens of a new session. Raises Unauthorized, AccountLocked, ServiceUnavailable."""
    with hashing.place():
        proof = await prove_password(canonical_email(email), password, caller, refusal=wrong_credentials())
        outcome = await database.write(partial(_begin_session, proof, caller))
    if outcome is None:
        # The account was deactivated, or its password changed, while this one was being verified.
        raise wrong_credentials()
    tokens, event = outcome
    audit.announce([event])
    return tokens


async def prove_password(
    email: str, password: str, caller: Caller, *, refusal: Problem, failure: Event = Event.LOG_IN_FAILED
) -> Proof:
    """Counts a try and verifies the password; raises `refusal` if it is wrong, AccountLocked after too many.

    Within `hashing.place()`, so that a service that is too busy to try does not count the try either. The try
    stays counted until the caller's transaction forgets it.
    """
    one = await database.write(partial(begin_try, email))
    is_right, upgraded = await hashing.run(partial(verify_and_upgrade, password, one.encoded or hashing.nobodys_hash))
    if one.user_id is None or not is_right:
        audit.announce(await database.write(partial(note_failure, one, caller, failure)))
        raise refusal
    return Proof(one.user_id, one.email_digest, one.encoded, upgraded)


def begin_try(email: str) -> Try:
    """Counts a try and looks for the active account with this canonical address. In a transaction.

    Raises AccountLocked.
    """
    digest = email_digest(email)
    is_last = lockout.count_try(digest)
    account = User.objects.filter(email=email, is_active=True).values_list("id", "password").first()
    user_id, encoded = account or (None, "")
    return Try(email_digest=digest, is_last=is_last, user_id=user_id, encoded=encoded)


def note_failure(one: Try, caller: Caller, failure: Event, *, detail: str = "") -> list[AuditEvent]:
    """Records a wrong password, and that it locked the account if it did. In a transaction.

    Refused tries are not recorded one by one, so an address adds at most eleven rows in a quarter of an hour.
    """
    kinds = [failure, Event.LOCKED] if one.is_last else [failure]
    return [
        audit.record(kind, caller, user_id=one.user_id, email_digest=one.email_digest, detail=detail) for kind in kinds
    ]


def lock_proven_user(proof: Proof) -> User | None:
    """The account, locked, if it is still active and its password still the one that was proven.

    Forgets the tries, and stores the upgraded hash. In a transaction.
    """
    user = User.objects.select_for_update().filter(id=proof.user_id, is_active=True, password=proof.encoded).first()
    if user is not None:
        lockout.forget_tries(proof.email_digest)
        if proof.upgraded is not None:
            user.password = proof.upgraded
            user.save(update_fields=["password"])
    return user


def _begin_session(proof: Proof, caller: Caller) -> tuple[sessions.Tokens, AuditEvent] | None:
    user = lock_proven_user(proof)
    if user is None:
        return None
    User.objects.filter(id=user.id).update(last_login=now())
    session, tokens = sessions.begin_session(user, caller)
    event = audit.record(Event.LOGGED_IN, caller, user_id=user.id, session_id=session.id)
    return tokens, event
