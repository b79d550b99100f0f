"""Logging in, and verifying the password of an account.

An address without an account takes the same steps as a wrong password, so neither body, status nor timing reveals
whether an address has an account.
"""

from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class LoginAttempt:
    """A counted attempt, with its active account. Without an account: no id and an empty hash."""

    email_digest: str = field(repr=False)
    is_last: bool
    user_id: UUID | None
    encoded: str = field(repr=False)


class Proof(NamedTuple):
    """A correct password: its account, and the hash it was compared with."""

    user_id: UUID
    email_digest: str
    encoded: str
    upgraded: str | None  # a new hash, if the hashing parameters have changed

    def __repr__(self) -> str:
        return f"Proof(user_id={self.user_id})"


def wrong_credentials() -> Unauthorized:
    """Return the one problem for an unknown address, a wrong password and an inactive account."""
    return Unauthorized("E-mail or password is wrong", headers=CHALLENGE)


async def log_in(email: str, password: str, caller: Caller) -> sessions.Tokens:
    """Begin a session and return its tokens. Raises Unauthorized, AccountLocked, ServiceUnavailable."""
    with hashing.slot():
        proof = await prove_password(canonical_email(email), password, caller, refusal=wrong_credentials())
        begun = await database.write(partial(_begin_session, proof, caller))
    if begun is None:
        # The account was deactivated or its password changed while this password was being verified.
        raise wrong_credentials()
    tokens, event = begun
    audit.announce([event])
    return tokens


async def prove_password(
    email: str, password: str, caller: Caller, *, refusal: Problem, failure: Event = Event.LOGIN_FAILED
) -> Proof:
    """Count an attempt and verify the password. Raises `refusal` if it is wrong, AccountLocked after too many.

    Call this within `hashing.slot()`. The attempt stays counted until a transaction calls `lock_proven_user`.
    """
    attempt = await database.write(partial(count_attempt, email))
    proof = await hashing.run(partial(verify, attempt, password))
    if proof is None:
        audit.announce(await database.write(partial(record_failure, attempt, caller, failure)))
        raise refusal
    return proof


def count_attempt(email: str) -> LoginAttempt:
    """Count an attempt and look up the active account, in the open transaction. Raises AccountLocked."""
    digest = email_digest(email)
    is_last = lockout.count_attempt(digest)
    user = User.objects.filter(email=email, is_active=True).only("id", "password").first()
    user_id, encoded = (user.id, user.password) if user else (None, "")
    return LoginAttempt(email_digest=digest, is_last=is_last, user_id=user_id, encoded=encoded)


def verify(attempt: LoginAttempt, password: str) -> Proof | None:
    """Hash and compare the password. Takes about 25 ms, so call it in a thread."""
    # Without an account there is a dummy hash to compare with, so that both cases take the same time.
    is_correct, upgraded = verify_and_upgrade(password, attempt.encoded or hashing.dummy_hash)
    if attempt.user_id is None or not is_correct:
        return None
    return Proof(attempt.user_id, attempt.email_digest, attempt.encoded, upgraded)


def record_failure(attempt: LoginAttempt, caller: Caller, failure: Event, *, detail: str = "") -> list[AuditEvent]:
    """Record a wrong password, and the lock if this was the last attempt, in the open transaction."""
    kinds = [failure, Event.LOCKED] if attempt.is_last else [failure]
    return [
        audit.record(kind, caller, user_id=attempt.user_id, email_digest=attempt.email_digest, detail=detail)
        for kind in kinds
    ]


def lock_proven_user(proof: Proof) -> User | None:
    """Lock and return the account if it still is as proven. Clears the attempts and stores the upgraded hash."""
    user = User.objects.select_for_update().filter(id=proof.user_id, is_active=True, password=proof.encoded).first()
    if user is not None:
        lockout.clear_attempts(proof.email_digest)
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
