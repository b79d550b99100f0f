"""Login sessions: rows of `Session`, not Django's own sessions, which only the admin uses."""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet

from core.auth import audit
from core.auth.audit import Event
from core.auth.caller import Caller
from core.auth.credentials import revocation
from core.auth.credentials.identify import invalid_token
from core.auth.credentials.jwt import access_tokens
from core.auth.digests import secret_digest
from core.auth.models import AuditEvent, RefreshToken, Session, User
from core.database.pool import database
from core.http.principal import Principal
from core.http.problems import NotFound
from core.values import now

SESSIONS_PER_USER = 100
REFRESH_TOKEN_BYTES = 32


@dataclass(frozen=True)
class Tokens:
    """The tokens a client receives at login and at every refresh. Lifetimes are in seconds."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int
    refresh_expires_in: int


@dataclass(frozen=True)
class Refreshed:
    """The result of a refresh: new tokens or a refusal, and the events to announce after the commit."""

    tokens: Tokens | None = None
    refusal: str = ""
    revoked_session: UUID | None = None
    events: Sequence[AuditEvent] = ()


def live_sessions(user_id: UUID) -> QuerySet[Session]:
    return Session.objects.filter(user_id=user_id, revoked_at__isnull=True, expires_at__gt=now())


def begin_session(user: User, caller: Caller) -> tuple[Session, Tokens]:
    """Create a session and its first tokens. Requires a transaction that locks the user."""
    moment = now()
    last = moment + timedelta(seconds=settings.REFRESH_TOKEN_ABSOLUTE_TTL)
    session = _create(user, caller, moment, expires_at=_next_expiry(moment, last), last_expires_at=last)
    return session, _issue(session, parent=None, moment=moment)


def begin_session_without_refreshing(user: User, caller: Caller, *, ttl_seconds: int) -> tuple[Session, str]:
    """Create a session that ends with its only access token. Requires a transaction that locks the user."""
    moment = now()
    end = moment + timedelta(seconds=ttl_seconds)
    session = _create(user, caller, moment, expires_at=end, last_expires_at=end)
    return session, access_tokens().issue(user_id=user.id, session_id=session.id, ttl_seconds=ttl_seconds)


async def refresh(refresh_token: str, caller: Caller) -> Tokens:
    """Return new tokens and invalidate the refresh token. Raises Unauthorized if it is unknown, expired or used.

    Reusing a refresh token ends its session, because the token may have been stolen (RFC 9700, section 4.14.2).
    """
    refreshed = await database.write(partial(_refresh, secret_digest(refresh_token), caller))
    audit.announce(refreshed.events)
    if refreshed.revoked_session is not None:
        forget_sessions([refreshed.revoked_session])
    if refreshed.tokens is None:
        raise invalid_token(refreshed.refusal)
    return refreshed.tokens


def _refresh(digest: str, caller: Caller) -> Refreshed:
    # The lock makes concurrent refreshes and logouts of the session wait, so they see this refresh's result.
    locked = RefreshToken.objects.select_for_update(of=("self", "session")).select_related("session__user")
    token = locked.filter(digest=digest).first()
    moment = now()
    if token is None:
        return Refreshed(refusal="The refresh token is unknown")
    session = token.session
    if session.revoked_at is not None or not session.user.is_active:
        return Refreshed(refusal="The session of this refresh token has ended")
    if token.used_at is not None:
        revoke_sessions(Session.objects.filter(pk=session.pk), "refresh token reuse")
        event = audit.record(Event.REUSE_DETECTED, caller, user_id=session.user_id, session_id=session.id)
        refusal = "The refresh token was used before; its session has been ended"
        return Refreshed(refusal=refusal, revoked_session=session.id, events=[event])
    if token.expires_at <= moment:
        return Refreshed(refusal="The refresh token has expired")
    token.used_at = moment
    token.save(update_fields=["used_at"])
    session.last_used_at = moment
    session.ip, session.user_agent = caller.ip, caller.user_agent
    session.expires_at = _next_expiry(moment, session.last_expires_at)
    session.save(update_fields=["last_used_at", "ip", "user_agent", "expires_at"])
    tokens = _issue(session, parent=token, moment=moment)
    event = audit.record(Event.REFRESHED, caller, user_id=session.user_id, session_id=session.id)
    return Refreshed(tokens=tokens, events=[event])


async def list_sessions(principal: Principal) -> list[Session]:
    """Return the user's live sessions, the most recently used first."""
    return await database.read(partial(list, live_sessions(principal.user_id)[:SESSIONS_PER_USER]))


async def end_session(principal: Principal, session_id: UUID, caller: Caller) -> None:
    """End one of the user's live sessions. Raises NotFound for any other session."""
    event = await database.write(partial(_end_session, principal.user_id, session_id, caller))
    forget_sessions([session_id])
    audit.announce([event])


async def end_own_session(principal: Principal, caller: Caller) -> None:
    """Log out: end the session of the access token."""
    assert principal.session_id is not None
    event = await database.write(partial(_log_out, principal.user_id, principal.session_id, caller))
    forget_sessions([principal.session_id])
    audit.announce([event])


async def end_every_session(principal: Principal, caller: Caller) -> None:
    """Log out everywhere, in the admin too."""
    session_ids, event = await database.write(partial(_log_out_everywhere, principal, caller))
    forget_sessions(session_ids)
    audit.announce([event])


def _end_session(user_id: UUID, session_id: UUID, caller: Caller) -> AuditEvent:
    if not revoke_sessions(live_sessions(user_id).filter(id=session_id), Event.SESSION_ENDED):
        raise NotFound
    return audit.record(Event.SESSION_ENDED, caller, user_id=user_id, session_id=session_id)


def _log_out(user_id: UUID, session_id: UUID, caller: Caller) -> AuditEvent:
    revoke_sessions(Session.objects.filter(id=session_id), Event.LOGGED_OUT)
    return audit.record(Event.LOGGED_OUT, caller, user_id=user_id, session_id=session_id)


def _log_out_everywhere(principal: Principal, caller: Caller) -> tuple[list[UUID], AuditEvent]:
    user_id, event = principal.user_id, Event.LOGGED_OUT_EVERYWHERE
    end_admin_sessions(user_id)
    session_ids = end_user_sessions(user_id, because=event)
    return session_ids, audit.record(event, caller, user_id=user_id, session_id=principal.session_id)


def end_user_sessions(user_id: UUID, *, because: str, but: UUID | None = None) -> list[UUID]:
    """End all of the user's sessions except `but`, in the open transaction, and return the ended sessions' ids."""
    rows = Session.objects.filter(user_id=user_id)
    return revoke_sessions(rows if but is None else rows.exclude(id=but), because)


def end_admin_sessions(user_id: UUID) -> None:
    """End the user's Django sessions. To avoid deadlocks, call this before locking rows of Session, as a login does."""
    User.objects.filter(id=user_id).update(logged_out_at=now())


def revoke_sessions(rows: QuerySet[Session], because: str) -> list[UUID]:
    """Revoke the sessions that are not yet revoked, in the open transaction, and return their ids."""
    # Rows are locked in id order to avoid deadlocks.
    unrevoked = rows.filter(revoked_at__isnull=True).select_for_update().order_by("id")
    ids = list(unrevoked.values_list("id", flat=True))
    Session.objects.filter(id__in=ids).update(revoked_at=now(), revoked_because=because[:32])
    return ids


def forget_sessions(session_ids: Iterable[UUID]) -> None:
    """Refuse these ended sessions in this process at once. Other processes notice within a second."""
    for session_id in session_ids:
        revocation.session_cache.forget(str(session_id))


def _create(
    user: User, caller: Caller, moment: datetime, *, expires_at: datetime, last_expires_at: datetime
) -> Session:
    _delete_surplus(user.id)
    return Session.objects.create(
        user=user,
        created_at=moment,
        last_used_at=moment,
        ip=caller.ip,
        user_agent=caller.user_agent,
        expires_at=expires_at,
        last_expires_at=last_expires_at,
    )


def _delete_surplus(user_id: UUID) -> None:
    """Bound the number of a user's sessions: delete ended sessions first, then the least recently used."""
    if Session.objects.filter(user_id=user_id).count() < SESSIONS_PER_USER:
        return
    newest = live_sessions(user_id).order_by("-last_used_at", "-id")[: SESSIONS_PER_USER - 1]
    kept = list(newest.values_list("id", flat=True))
    Session.objects.filter(user_id=user_id).exclude(id__in=kept).delete()


def _issue(session: Session, *, parent: RefreshToken | None, moment: datetime) -> Tokens:
    refresh_token = secrets.token_urlsafe(REFRESH_TOKEN_BYTES)
    RefreshToken.objects.create(
        digest=secret_digest(refresh_token),
        session=session,
        parent=parent,
        created_at=moment,
        expires_at=session.expires_at,
    )
    ttl = settings.ACCESS_TOKEN_TTL
    return Tokens(
        access_token=access_tokens().issue(user_id=session.user_id, session_id=session.id, ttl_seconds=ttl),
        refresh_token=refresh_token,
        expires_in=ttl,
        refresh_expires_in=int((session.expires_at - moment).total_seconds()),
    )


def _next_expiry(moment: datetime, last: datetime) -> datetime:
    return min(moment + timedelta(seconds=settings.REFRESH_TOKEN_IDLE_TTL), last)
