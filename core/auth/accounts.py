"""What can be done with an account: made, changed, deleted, deactivated."""

from functools import partial
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError

from core.auth import audit, lockout, sessions
from core.auth.audit import Event
from core.auth.caller import Caller
from core.auth.digests import email_digest
from core.auth.emails import canonical_email
from core.auth.hashing import hashing
from core.auth.login import Proof, lock_proven_user, prove_password
from core.auth.models import APIKey, AuditEvent, Session, User
from core.auth.passwords import hash_new_password
from core.auth.principal import Principal
from core.database import database
from core.errors import Conflict, Forbidden, Unauthorized
from core.timestamps import now


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
        raise Unauthorized
    return user


async def change_password(principal: Principal, current: str, new: str, caller: Caller) -> None:
    """Ends every other session.

    Raises Forbidden if the current password is wrong, AccountLocked, ValidationFailed.
    """
    user = await get_account(principal)
    with hashing.place():
        proof = await _prove(user, current, caller)
        new_hash = partial(hash_new_password, new, email=user.email, pointer="#/new_password")
        encoded = await hashing.run(new_hash)
        ended, event = await database.write(partial(_store_password, proof, encoded, principal, caller))
    sessions.forget_sessions(ended)
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
            user, event = await database.write(partial(_store_email, proof, address, principal, caller))
        except IntegrityError:
            raise _taken() from None
    audit.announce([event])
    return user


async def delete_account(principal: Principal, caller: Caller) -> None:
    """Deletes the account with its sessions, keys and whatever else belongs to it."""
    ended, event = await database.write(partial(_delete_user, principal, caller))
    sessions.forget_sessions(ended)
    audit.announce([event])


def revoke_access(user_id: UUID, *, because: str) -> tuple[int, int]:
    """Ends all sessions and API keys of a user; how many of each. Inside a transaction: for staff."""
    ended = sessions.end_sessions(user_id, because=because)
    keys = APIKey.objects.filter(user_id=user_id, revoked_at__isnull=True).update(revoked_at=now())
    return len(ended), keys


async def _prove(user: User, password: str, caller: Caller) -> Proof:
    # Counted with the log-ins: somebody with a stolen token must not be able to guess here without end.
    refusal = Forbidden("The current password is wrong")
    return await prove_password(user.email, password, caller, refusal=refusal, failure=Event.PASSWORD_REFUSED)


def _create_user(email: str, encoded: str, caller: Caller) -> tuple[User, AuditEvent]:
    if User.objects.filter(email=email).exists():
        raise _taken()
    user = User.objects.create(email=email, password=encoded)
    return user, audit.record(Event.REGISTERED, caller, user_id=user.id)


def _store_password(
    proof: Proof, encoded: str, principal: Principal, caller: Caller
) -> tuple[list[UUID], AuditEvent]:
    user = _lock(proof)
    user.password = encoded
    user.save(update_fields=["password"])
    ended = sessions.end_sessions(user.id, because=Event.PASSWORD_CHANGED, but=principal.session_id)
    return ended, audit.record(
        Event.PASSWORD_CHANGED, caller, user_id=user.id, session_id=principal.session_id
    )


def _store_email(proof: Proof, email: str, principal: Principal, caller: Caller) -> tuple[User, AuditEvent]:
    user = _lock(proof)
    if User.objects.filter(email=email).exclude(id=user.id).exists():
        raise _taken()
    user.email = email
    user.save(update_fields=["email"])
    return user, audit.record(Event.EMAIL_CHANGED, caller, user_id=user.id, session_id=principal.session_id)


def _delete_user(principal: Principal, caller: Caller) -> tuple[list[UUID], AuditEvent]:
    user = User.objects.select_for_update().filter(id=principal.user_id).first()
    if user is None:
        raise Unauthorized
    ended = list(Session.objects.filter(user=user).values_list("id", flat=True))
    lockout.forget_tries(email_digest(user.email))
    event = audit.record(Event.DELETED, caller, user_id=user.id, session_id=principal.session_id)
    user.delete()
    return ended, event


def _lock(proof: Proof) -> User:
    user = lock_proven_user(proof)
    if user is None:
        raise Conflict("The account was changed at the same moment; look at it and try again")
    return user


def _taken() -> Conflict:
    return Conflict("There is an account with this e-mail already")
