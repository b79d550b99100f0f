"""Registering, changing and deleting accounts, and ending all their access."""

from functools import partial
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError

from core.auth import audit, sessions
from core.auth.audit import Event
from core.auth.caller import Caller
from core.auth.credentials import revocation
from core.auth.credentials.identify import session_ended
from core.auth.digests import email_digest
from core.auth.emails import canonical_email
from core.auth.login import Proof, lock_proven_user, prove_password
from core.auth.models import APIKey, AuditEvent, Session, User
from core.auth.passwords import lockout
from core.auth.passwords.hashing import hashing
from core.auth.passwords.rules import check_new_password, hash_new_password, hash_password
from core.database.pool import database
from core.http.principal import Principal
from core.http.problems import Conflict, Forbidden
from core.values import now


async def register(email: str, password: str, caller: Caller) -> User:
    """Create an account. Raises Forbidden if registration is closed, ValidationFailed, Conflict for a taken address."""
    if not settings.REGISTRATION_OPEN:
        raise Forbidden("Registration is closed")
    address = canonical_email(email)
    with hashing.slot():
        encoded = await hashing.run(partial(hash_new_password, password, email=address, pointer="#/password"))
    try:
        user, event = await database.write(partial(_create_user, address, encoded, caller))
    except IntegrityError:
        raise _address_taken() from None
    audit.announce([event])
    return user


async def get_account(principal: Principal) -> User:
    """Return the principal's account. Raises Unauthorized if it was deleted while the request was running."""
    user = await database.read(User.objects.filter(id=principal.user_id).first)
    if user is None:
        raise session_ended()
    return user


async def change_password(principal: Principal, current: str, new: str, caller: Caller) -> None:
    """Set a new password and end every other session. Raises Forbidden, AccountLocked, ValidationFailed, Conflict."""
    user = await get_account(principal)
    with hashing.slot():
        # Checked before the attempt is counted, so that a bad new password does not count as a failed login.
        await hashing.run(partial(check_new_password, new, email=user.email, pointer="#/new_password"))
        proof = await _prove(user, current, caller)
        encoded = await hashing.run(partial(hash_password, new))
        session_ids, event = await database.write(partial(_store_password, proof, encoded, principal, caller))
    sessions.forget_sessions(session_ids)
    audit.announce([event])


async def change_email(principal: Principal, email: str, current_password: str, caller: Caller) -> User:
    """Change the address and return the account. Raises Forbidden for a wrong password, AccountLocked, Conflict."""
    user = await get_account(principal)
    address = canonical_email(email)
    with hashing.slot():
        proof = await _prove(user, current_password, caller)
        try:
            changed = await database.write(partial(_store_email, proof, address, principal, caller))
        except IntegrityError:
            raise _address_taken() from None
    if changed is None:
        raise _address_taken()
    user, event = changed
    audit.announce([event])
    return user


async def delete_account(principal: Principal, caller: Caller) -> None:
    """Delete the account with its sessions, API keys and everything else that belongs to it."""
    session_ids, prefixes, event = await database.write(partial(_delete_user, principal, caller))
    sessions.forget_sessions(session_ids)
    for prefix in prefixes:
        revocation.api_key_cache.forget(prefix)
    audit.announce([event])


def revoke_access(user_id: UUID, *, because: str) -> None:
    """End a user's sessions, admin sessions included, and revoke their API keys, in the open transaction."""
    sessions.end_admin_sessions(user_id)
    sessions.end_user_sessions(user_id, because=because)
    APIKey.objects.filter(user_id=user_id, revoked_at__isnull=True).update(revoked_at=now())


async def _prove(user: User, password: str, caller: Caller) -> Proof:
    # Counted together with logins, so that a stolen access token does not allow unlimited guesses.
    refusal = Forbidden("The current password is wrong")
    return await prove_password(user.email, password, caller, refusal=refusal, failure=Event.PASSWORD_REFUSED)


def _create_user(email: str, encoded: str, caller: Caller) -> tuple[User, AuditEvent]:
    if User.objects.filter(email=email).exists():
        raise _address_taken()
    user = User.objects.create(email=email, password=encoded)
    return user, audit.record(Event.REGISTERED, caller, user_id=user.id)


def _store_password(proof: Proof, encoded: str, principal: Principal, caller: Caller) -> tuple[list[UUID], AuditEvent]:
    user = _lock(proof)
    user.password = encoded
    user.save(update_fields=["password"])
    session_ids = sessions.end_user_sessions(user.id, because=Event.PASSWORD_CHANGED, but=principal.session_id)
    return session_ids, audit.record(Event.PASSWORD_CHANGED, caller, user_id=user.id, session_id=principal.session_id)


def _store_email(proof: Proof, email: str, principal: Principal, caller: Caller) -> tuple[User, AuditEvent] | None:
    user = _lock(proof)
    if User.objects.filter(email=email).exclude(id=user.id).exists():
        # Raising would roll back the transaction, and the correct password would stay counted as a failure.
        return None
    user.email = email
    user.save(update_fields=["email"])
    return user, audit.record(Event.EMAIL_CHANGED, caller, user_id=user.id, session_id=principal.session_id)


def _delete_user(principal: Principal, caller: Caller) -> tuple[list[UUID], list[str], AuditEvent]:
    user = User.objects.select_for_update().filter(id=principal.user_id).first()
    if user is None:
        raise session_ended()
    session_ids = list(Session.objects.filter(user=user).values_list("id", flat=True))
    prefixes = list(APIKey.objects.filter(user=user).values_list("prefix", flat=True))
    lockout.clear_attempts(email_digest(user.email))
    event = audit.record(Event.DELETED, caller, user_id=user.id, session_id=principal.session_id)
    user.delete()
    return session_ids, prefixes, event


def _lock(proof: Proof) -> User:
    user = lock_proven_user(proof)
    if user is None:
        raise Conflict("Another request changed the account at the same time. Read it again and retry")
    return user


def _address_taken() -> Conflict:
    return Conflict("An account with this e-mail already exists")
