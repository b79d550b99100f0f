"""Idempotency keys (draft-ietf-httpapi-idempotency-key-header): one effect per key.

The record of the response commits in the transaction of the change, so neither exists without the other. A concurrent
repeat waits on the record's primary key until the first request commits, finds the key taken and replays the response.
"""

import asyncio
import hashlib
import re
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import NamedTuple

from django.conf import settings
from django.db import IntegrityError
from django.http import HttpResponse

from core.auth.accounts import get_account
from core.database.compiled import compiled_insert
from core.database.pool import database
from core.http.principal import Principal
from core.http.problems import IdempotencyInProgress, IdempotencyMismatch, InvalidHeader
from core.http.request import Request
from core.http.responses import PRIVATE, json_response
from core.models import IdempotencyRecord
from core.telemetry.metrics import IDEMPOTENT_REPLAYS
from core.values import now

HEADER = b"idempotency-key"
_VISIBLE = re.compile(r"[\x21-\x7e]{1,255}")
# A string of RFC 9651, section 3.3.3: quoted, with a backslash before each quote or backslash.
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')


class StoredResponse(NamedTuple):
    status: int
    body: bytes
    location: str
    etag: str
    is_replay: bool = False

    def to_http(self) -> HttpResponse:
        headers = {**PRIVATE, "Location": self.location, "ETag": self.etag}
        if self.is_replay:
            headers["Idempotent-Replayed"] = "true"
        return json_response(self.body, status=self.status, headers=headers)


class _KeyTaken(Exception):
    """Rolls the transaction back, because the key's record exists."""


class Key(NamedTuple):
    """A key in its scope (account, method, path), and the digest of the request it belongs to."""

    scope_digest: str
    request_digest: str


def read_key(request: Request, principal: Principal) -> Key | None:
    """Return the request's key, or None. Raises InvalidHeader if the key is malformed or repeated."""
    if HEADER not in request.raw_headers:
        return None
    lines = [value for name, value in request.scope["headers"] if name == HEADER]
    text = lines[0].decode("latin-1").strip(" \t")
    if quoted := _QUOTED.fullmatch(text):
        text = re.sub(r"\\(.)", r"\1", quoted[1])
    elif text.startswith('"'):
        text = ""
    if len(lines) > 1 or not _VISIBLE.fullmatch(text):
        raise InvalidHeader("Idempotency-Key must appear once and have 1 to 255 visible ASCII characters")
    scope = "\n".join((principal.user_key, request.method or "", request.path.rstrip("/"), text))
    content = hashlib.sha256(request.body)
    content.update(b"\0" + request.raw_headers.get(b"content-type", b"") + b"\0" + request.scope["query_string"])
    return Key(hashlib.sha256(scope.encode()).hexdigest(), content.hexdigest())


_INSERT = compiled_insert(lambda: IdempotencyRecord, ignore_conflicts=True)


async def run_once(principal: Principal, key: Key | None, change: Callable[[], StoredResponse]) -> StoredResponse:
    """Run a change in a write transaction, at most once per key, and return its response.

    Raises what the change raises (the key stays free), IdempotencyMismatch if the key belongs to another request,
    IdempotencyInProgress if the first request does not end within IDEMPOTENCY_WAIT, and Unauthorized if the
    principal's account was just deleted.
    """
    try:
        if key is None:
            return await database.write(change)
        async with asyncio.timeout(settings.IDEMPOTENCY_WAIT):
            return await _run_or_replay(key, change)
    except TimeoutError:
        raise IdempotencyInProgress(headers={"Retry-After": "1"}) from None
    except IntegrityError:
        # Credentials of a deleted account may still be accepted for a second, but nothing can reference the account.
        await get_account(principal)
        raise


async def _run_or_replay(key: Key, change: Callable[[], StoredResponse]) -> StoredResponse:
    while True:
        try:
            return await database.write(partial(_run_and_record, key, change))
        except _KeyTaken:
            if stored := await database.read(partial(_stored, key)):
                IDEMPOTENT_REPLAYS.inc()
                return stored
            await database.write(partial(_free_expired, key))


def _run_and_record(key: Key, change: Callable[[], StoredResponse]) -> StoredResponse:
    response = change()
    moment = now()
    inserted = _INSERT.run(
        scope_digest=key.scope_digest,
        request_digest=key.request_digest,
        status=response.status,
        body=response.body,
        location=response.location,
        etag=response.etag,
        created_at=moment,
        expires_at=moment + timedelta(seconds=settings.IDEMPOTENCY_TTL),
    )
    if not inserted:
        raise _KeyTaken
    return response


def _stored(key: Key) -> StoredResponse | None:
    """Return the stored response, or None if it expired or was just purged. Raises IdempotencyMismatch."""
    record = IdempotencyRecord.objects.filter(pk=key.scope_digest, expires_at__gt=now()).first()
    if record is None:
        return None
    if record.request_digest != key.request_digest:
        raise IdempotencyMismatch
    return StoredResponse(record.status, bytes(record.body), record.location, record.etag, is_replay=True)


def _free_expired(key: Key) -> None:
    IdempotencyRecord.objects.filter(pk=key.scope_digest, expires_at__lte=now()).delete()


def purge(batch_size: int) -> int:
    """Delete a batch of expired records and return its size."""
    expired = IdempotencyRecord.objects.filter(expires_at__lte=now()).values_list("pk", flat=True)[:batch_size]
    return IdempotencyRecord.objects.filter(pk__in=list(expired)).delete()[0]
