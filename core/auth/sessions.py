"""Sessions: begun by a log-in, kept alive by refreshing, ended by many things."""

import secrets
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet

from core.auth import audit
from core.auth.audit import Event
from core.auth.caller import Caller
from core.auth.credentials import revocation
from core.auth.credentials.identify import unauthorized
from core.auth.credentials.jwt import access_tokens
from core.auth.digests import secret_digest
from core.auth.models import AuditEvent, RefreshToken, Session, User
from core.database.pool import database
from core.http.principal import Principal
from core.http.problems import NotFound
from core.values import now

SESSIONS_PER_USER = 100
REFRESH_TOKEN_BYTES = 32


class Tokens(NamedTuple):
    """What a client gets at log-in and at every refresh. Lifetimes in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int
    refresh_expires_in: int

    def __repr__(self) -> str:
        return f"Tokens(expires_in={self.expires_in})"


class Refreshed(NamedTuple):
    """What came of a refresh: tokens, or why there are none; and what has to be told after the commit."""

    tokens: Tokens | None = None
    refusal: str = ""
    revoked_session: UUID | None = None
    events: Sequence[AuditEvent] = ()


def live_sessions(user_id: UUID) -> QuerySet[Session]:
    """The user's sessions that are still good."""
    return Session.objects.filter(user_id=user_id, revoked_at__isnull=True, expires_at__gt=now())


def begin_session(user: User, caller: Caller) -> tuple[Session, Tokens]:
    """A new session with its first tokens. Inside a transaction that locks the user."""
    moment = now()
    last = moment + timedelta(seconds=settings.REFRESH_TOKEN_ABSOLUTE_TTL)
    session = _create(user, caller, moment, expires_at=_next_expiry(moment, last), last_expires_at=last)
    return session, _issue(session, parent=None, moment=moment)


def begin_session_without_refreshing(user: User, caller: Caller, *, ttl_seconds: int) -> tuple[Session, str]:
    """A session that ends with its one access token, and the token.

    Inside a transaction that locks the user.
    """
    moment = now()
    end = moment + timedelta(seconds=ttl_seconds)
    session = _create(user, caller, moment, expires_at=end, last_expires_at=end)
    return session, access_tokens().issue(user_id=user.id, session_id=session.id, ttl_seconds=ttl_seconds)


def _create(
    user: User, caller: Caller, moment: datetime, *, expires_at: datetime, last_expires_at: datetime
) -> Session:
    _make_room(user.id)
    return Session.objects.create(
        user=user,
        created_at=moment,
        last_used_at=moment,
        ip=caller.ip,
        user_agent=caller.user_agent,
        expires_at=expires_at,
        last_expires_at=last_expires_at,
    )


async def refresh(refresh_token: str, caller: Caller) -> Tokens:
    """New tokens for a refresh token, which dies.

    Raises Unauthorized for one that is unknown, expired or used.

    One that was used already is in two hands, and nobody can tell whose are the right ones: its session ends
    (RFC 9700, section 4.14.2). So of several at once at most one gets tokens, and they don't last.
    """
    outcome = await database.write(partial(_refresh, secret_digest(refresh_token), caller))
    audit.announce(outcome.events)
    if outcome.revoked_session is not None:
        revocation.sessions.forget(str(outcome.revoked_session))
    if outcome.tokens is None:
        raise unauthorized(outcome.refusal)
    return outcome.tokens


def _refresh(digest: str, caller: Caller) -> Refreshed:
    # Locks token and session: whoever else refreshes or ends the session waits, and then sees what was done.
    locked = RefreshToken.objects.select_for_update(of=("self", "session")).select_related("session__user")
    token = locked.filter(digest=digest).first()
    moment = now()
    if token is None:
        return Refreshed(refusal="The refresh token is not known")
    session = token.session
    if session.revoked_at is not None or not session.user.is_active:
        return Refreshed(refusal="The session of this refresh token has ended")
    if token.used_at is not None:
        end_chosen(Session.objects.filter(pk=session.pk), "refresh token reuse")
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
    """The user's live sessions, the latest used first."""
    return await database.read(lambda: list(live_sessions(principal.user_id)[:SESSIONS_PER_USER]))


async def end_session(principal: Principal, session_id: UUID, caller: Caller) -> None:
    """Ends one of the user's live sessions; raises NotFound for any other."""

    def choose() -> QuerySet[Session]:
        return live_sessions(principal.user_id).filter(id=session_id)

    await _end_and_announce(choose, principal, caller, event=Event.SESSION_ENDED, must_find=True)


async def end_own_session(principal: Principal, caller: Caller) -> None:
    """Logs out: ends the session of the access token."""
    assert principal.session_id is not None
    chosen = partial(Session.objects.filter, id=principal.session_id)
    await _end_and_announce(chosen, principal, caller, event=Event.LOGGED_OUT)


async def end_every_session(principal: Principal, caller: Caller) -> None:
    """Logs out everywhere, of the admin too."""

    def choose() -> QuerySet[Session]:
        end_admin_sessions(principal.user_id)
        return Session.objects.filter(user_id=principal.user_id)

    await _end_and_announce(choose, principal, caller, event=Event.LOGGED_OUT_EVERYWHERE)


async def _end_and_announce(
    choose: Callable[[], QuerySet[Session]],
    principal: Principal,
    caller: Caller,
    *,
    event: Event,
    must_find: bool = False,
) -> None:
    def job() -> tuple[list[UUID], AuditEvent]:
        ended = end_chosen(choose(), event)
        if must_find and not ended:
            raise NotFound
        only = ended[0] if len(ended) == 1 else None
        return ended, audit.record(event, caller, user_id=principal.user_id, session_id=only)

    ended, recorded = await database.write(job)
    forget_sessions(ended)
    audit.announce([recorded])


def end_sessions(user_id: UUID, *, because: str, but: UUID | None = None) -> list[UUID]:
    """Ends the user's sessions, except perhaps one; their ids. Inside a transaction, for other services."""
    chosen = Session.objects.filter(user_id=user_id)
    return end_chosen(chosen if but is None else chosen.exclude(id=but), because)


def end_admin_sessions(user_id: UUID) -> None:
    """Ends what Django keeps for the user's browsers. Before the sessions are locked, as a log-in does."""
    User.objects.filter(id=user_id).update(logged_out_at=now())


def forget_sessions(session_ids: Iterable[UUID]) -> None:
    """Makes the end of these sessions hold in this process at once; in others it does within a second."""
    for session_id in session_ids:
        revocation.sessions.forget(str(session_id))


def end_chosen(chosen: QuerySet[Session], because: str) -> list[UUID]:
    """Revokes the sessions, locked in one order so that no two calls wait for each other; whose end is new.

    Inside a transaction.
    """
    not_yet = chosen.filter(revoked_at__isnull=True).select_for_update().order_by("id")
    ids = list(not_yet.values_list("id", flat=True))
    Session.objects.filter(id__in=ids).update(revoked_at=now(), revoked_because=because[:32])
    return ids


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


def _make_room(user_id: UUID) -> None:
    """Keeps the number of a user's sessions bounded.

    Those that have ended go first, then the longest unused.
    """
    kept = live_sessions(user_id).order_by("-last_used_at", "-id").values_list("id", flat=True)[: SESSIONS_PER_USER - 1]
    keep = list(kept)
    if Session.objects.filter(user_id=user_id).count() >= SESSIONS_PER_USER:
        Session.objects.filter(user_id=user_id).exclude(id__in=keep).delete()
