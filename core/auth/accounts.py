"""What can be done with an account: made, changed, deleted, deactivated."""

from functools import partial
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError

from core.auth import audit, sessions
from core.auth.audit import Event
from core.auth.caller import Caller
from core.auth.credentials import revocation
from core.auth.credentials.identify import ended
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
    """A new account.

    Raises Forbidden when registration is closed, ValidationFailed, Conflict for a taken address.
    """
    if not settings.REGISTRATION_OPEN:
        raise Forbidden("Registration is closed")
    address = canonical_email(email)
    with hashing.place():
        encoded = await hashing.run(partial(hash_new_password, password, email=address, pointer="#/password"))
    try:
        user, event = await database.write(partial(_create_user, address, encoded, caller))
    except IntegrityError:
        raise _taken() from None
    audit.announce([event])
    return user


async def get_account(principal: Principal) -> User:
    """The principal's own account; raises Unauthorized if it was deleted this very moment."""
    user = await database.read(lambda: User.objects.filter(id=principal.user_id).first())
    if user is None:
        raise ended()
    return user


async def change_password(principal: Principal, current: str, new: str, caller: Caller) -> None:
    """Ends every other session.

    Raises Forbidden if the current password is wrong, AccountLocked, ValidationFailed.
    """
    user = await get_account(principal)
    with hashing.place():
        # Before the try: a right password must not count as a failure because the new one is no good.
        await hashing.run(partial(check_new_password, new, email=user.email, pointer="#/new_password"))
        proof = await _prove(user, current, caller)
        encoded = await hashing.run(partial(hash_password, new))
        session_ids, event = await database.write(partial(_store_password, proof, encoded, principal, caller))
    sessions.forget_sessions(session_ids)
    audit.announce([event])


async def change_email(principal: Principal, email: str, current_password: str, caller: Caller) -> User:
    """The account under its new address.

    Raises Forbidden if the password is wrong, AccountLocked, Conflict.
    """
    user = await get_account(principal)
    address = canonical_email(email)
    with hashing.place():
        proof = await _prove(user, current_password, caller)
        try:
            changed = await database.write(partial(_store_email, proof, address, principal, caller))
        except IntegrityError:
            raise _taken() from None
    if changed is None:
        raise _taken()
    user, event = changed
    audit.announce([event])
    return user


async def delete_account(principal: Principal, caller: Caller) -> None:
    """Deletes the account with its sessions, keys and whatever else belongs to it."""
    session_ids, prefixes, event = await database.write(partial(_delete_user, principal, caller))
    sessions.forget_sessions(session_ids)
    for prefix in prefixes:
        revocation.api_keys.forget(prefix)
    audit.announce([event])


def revoke_access(user_id: UUID, *, because: str) -> None:
    """Ends all sessions, of the admin too, and API keys of a user. For staff; holds everywhere within a second."""
    sessions.end_admin_sessions(user_id)
    sessions.end_sessions(user_id, because=because)
    APIKey.objects.filter(user_id=user_id, revoked_at__isnull=True).update(revoked_at=now())


async def _prove(user: User, password: str, caller: Caller) -> Proof:
    # Counted with the log-ins: somebody with a stolen token must not be able to guess here without end.
    refusal = Forbidden("The current password is wrong")
    return await prove_password(user.email, password, caller, refusal=refusal, failure=Event.PASSWORD_REFUSED)


def _create_user(email: str, encoded: str, caller: Caller) -> tuple[User, AuditEvent]:
    if User.objects.filter(email=email).exists():
        raise _taken()
    user = User.objects.create(email=email, password=encoded)
    return user, audit.record(Event.REGISTERED, caller, user_id=user.id)


def _store_password(proof: Proof, encoded: str, principal: Principal, caller: Caller) -> tuple[list[UUID], AuditEvent]:
    user = _lock(proof)
    user.password = encoded
    user.save(update_fields=["password"])
    session_ids = sessions.end_sessions(user.id, because=Event.PASSWORD_CHANGED, but=principal.session_id)
    return session_ids, audit.record(Event.PASSWORD_CHANGED, caller, user_id=user.id, session_id=principal.session_id)


def _store_email(proof: Proof, email: str, principal: Principal, caller: Caller) -> tuple[User, AuditEvent] | None:
    """None for a taken address, rather than an exception, so that the right password's try is forgotten."""
    user = _lock(proof)
    if User.objects.filter(email=email).exclude(id=user.id).exists():
        return None
    user.email = email
    user.save(update_fields=["email"])
    return user, audit.record(Event.EMAIL_CHANGED, caller, user_id=user.id, session_id=principal.session_id)


def _delete_user(principal: Principal, caller: Caller) -> tuple[list[UUID], list[str], AuditEvent]:
    user = User.objects.select_for_update().filter(id=principal.user_id).first()
    if user is None:
        raise ended()
    session_ids = list(Session.objects.filter(user=user).values_list("id", flat=True))
    prefixes = list(APIKey.objects.filter(user=user).values_list("prefix", flat=True))
    lockout.forget_tries(email_digest(user.email))
    event = audit.record(Event.DELETED, caller, user_id=user.id, session_id=principal.session_id)
    user.delete()
    return session_ids, prefixes, event


def _lock(proof: Proof) -> User:
    user = lock_proven_user(proof)
    if user is None:
        raise Conflict("The account was changed at the same moment; look at it and try again")
    return user


def _taken() -> Conflict:
    return Conflict("There is an account with this e-mail already")
