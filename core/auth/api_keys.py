"""API keys: `ar_<prefix>_<secret>`. The prefix finds the row, and the secret's digest proves the key."""

import secrets
import string
from collections.abc import Collection
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db.models import QuerySet

from core.auth import audit
from core.auth.audit import Event
from core.auth.caller import Caller
from core.auth.credentials import revocation
from core.auth.credentials.identify import KEY_SECRET_LENGTH, session_ended
from core.auth.digests import secret_digest
from core.auth.models import KEY_PREFIX_LENGTH, APIKey, AuditEvent, User
from core.auth.sessions import live_sessions
from core.database.pool import database
from core.http.principal import Principal
from core.http.problems import Conflict, NotFound
from core.values import now

KEYS_PER_USER = 100
PREFIX_ALPHABET = string.ascii_lowercase + string.digits
SECRET_ALPHABET = string.ascii_letters + string.digits  # without the underscore that separates the parts


async def make_key(
    principal: Principal, *, name: str, scopes: Collection[str], expires_at: datetime | None, caller: Caller
) -> tuple[APIKey, str]:
    """Create a key. Return its row and its text, which is not stored. Raises Conflict at KEYS_PER_USER keys."""
    prefix = _random_text(PREFIX_ALPHABET, KEY_PREFIX_LENGTH)
    secret = _random_text(SECRET_ALPHABET, KEY_SECRET_LENGTH)
    key = APIKey(
        user_id=principal.user_id,
        name=name,
        prefix=prefix,
        digest=secret_digest(secret),
        scopes=" ".join(sorted(set(scopes))),
        created_at=now(),
        expires_at=expires_at,
    )
    event = await database.write(partial(_save_key, key, principal, caller))
    audit.announce([event])
    # A request may have tried this prefix a moment ago, and "unknown" is cached for it.
    revocation.api_key_cache.forget(prefix)
    return key, f"ar_{prefix}_{secret}"


async def list_keys(principal: Principal) -> list[APIKey]:
    """Return the user's keys, newest first: expired keys included, revoked keys not."""
    return await database.read(partial(list, _keys(principal.user_id)))


async def revoke_key(principal: Principal, key_id: UUID, caller: Caller) -> None:
    """Revoke one of the user's keys. Raises NotFound for other users' keys and for revoked keys."""
    prefix, event = await database.write(partial(_revoke, principal.user_id, key_id, caller))
    revocation.api_key_cache.forget(prefix)
    audit.announce([event])


def _keys(user_id: UUID) -> QuerySet[APIKey]:
    return APIKey.objects.filter(user_id=user_id, revoked_at__isnull=True)


def _save_key(key: APIKey, principal: Principal, caller: Caller) -> AuditEvent:
    assert principal.session_id is not None
    # The user's row is locked so that two concurrent requests cannot both create the last allowed key.
    user = User.objects.select_for_update().filter(id=key.user_id, is_active=True).first()
    # Bypasses the cache: a key outlives its session, so a session that has just ended must not create one.
    if user is None or not live_sessions(key.user_id).filter(id=principal.session_id).exists():
        raise session_ended()
    if _keys(key.user_id).count() >= KEYS_PER_USER:
        raise Conflict(f"An account has at most {KEYS_PER_USER} API keys: revoke one first")
    _delete_oldest_revoked(key.user_id)
    key.save()
    return audit.record(Event.KEY_MADE, caller, user_id=key.user_id, api_key_id=key.id, detail=f"ar_{key.prefix}")


def _delete_oldest_revoked(user_id: UUID) -> None:
    """Bound the number of a user's revoked keys. The audit log keeps their history."""
    revoked = APIKey.objects.filter(user_id=user_id, revoked_at__isnull=False).order_by("-revoked_at", "-id")
    if surplus := list(revoked.values_list("id", flat=True)[KEYS_PER_USER - 1 : 2 * KEYS_PER_USER]):
        APIKey.objects.filter(id__in=surplus).delete()


def _revoke(user_id: UUID, key_id: UUID, caller: Caller) -> tuple[str, AuditEvent]:
    key = _keys(user_id).select_for_update().filter(id=key_id).first()
    if key is None:
        raise NotFound
    key.revoked_at = now()
    key.save(update_fields=["revoked_at"])
    event = audit.record(Event.KEY_REVOKED, caller, user_id=user_id, api_key_id=key.id, detail=f"ar_{key.prefix}")
    return key.prefix, event


def _random_text(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
