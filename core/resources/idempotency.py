"""Idempotency keys (draft-ietf-httpapi-idempotency-key-header): one effect per key.

The record of the answer commits in the transaction of the effect: there is no moment with one and not the other. A
concurrent repeat waits at the record's primary key until the first has committed, finds it taken, and replays.
"""

import asyncio
import hashlib
import re
from collections.abc import Callable
from datetime import timedelta
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
# RFC 9651, section 3.3.3: a string in quotes, in which a backslash stands before a quote or a backslash.
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')


class Answer(NamedTuple):
    """A successful answer as it is stored and replayed: JSON bytes, with the headers that belong to them."""

    status: int
    body: bytes
    location: str
    etag: str

    def response(self, *, replayed: bool = False) -> HttpResponse:
        """The answer as a response."""
        headers = {**PRIVATE, "Location": self.location, "ETag": self.etag}
        if replayed:
            headers["Idempotent-Replayed"] = "true"
        return json_response(self.body, status=self.status, headers=headers)


class _KeyTaken(Exception):
    """The key's record exists: what was about to be done is undone."""


class Key(NamedTuple):
    """A key in its scope (principal, method, path), and the digest of the request that it stands for."""

    scope_digest: str
    request_digest: str


def key_of(request: Request, principal: Principal) -> Key | None:
    """The request's key, or None. Raises InvalidHeader if it is malformed or given twice."""
    if HEADER not in request.raw_headers:
        return None
    lines = [value for name, value in request.scope["headers"] if name == HEADER]
    text = lines[0].decode("latin-1").strip(" \t")
    if quoted := _QUOTED.fullmatch(text):
        text = re.sub(r"\\(.)", r"\1", quoted[1])
    elif text.startswith('"'):
        text = ""
    if len(lines) > 1 or not _VISIBLE.fullmatch(text):
        raise InvalidHeader("Idempotency-Key must be given once, as 1 to 255 visible ASCII characters")
    scope = "\n".join((principal.user_key, request.method or "", request.path.rstrip("/"), text))
    content = hashlib.sha256(request.body)
    content.update(b"\0" + request.raw_headers.get(b"content-type", b"") + b"\0" + request.scope["query_string"])
    return Key(hashlib.sha256(scope.encode()).hexdigest(), content.hexdigest())


_INSERT = compiled_insert(lambda: IdempotencyRecord, ignore_conflicts=True)


async def run_once(principal: Principal, key: Key | None, effect: Callable[[], Answer]) -> tuple[Answer, bool]:
    """Runs the effect in a write transaction, once per key; returns its answer and whether it is a replay.

    Raises what the effect raises (the key stays free), IdempotencyMismatch if the key stands for another request,
    IdempotencyInProgress if the first request with it does not end within IDEMPOTENCY_WAIT, and Unauthorized if the
    principal's account was deleted this very moment.
    """
    try:
        return await _run_once(key, effect)
    except IntegrityError:
        # What belongs to an account that is gone cannot be stored, but its credentials may still be taken for a second.
        await get_account(principal)
        raise


async def _run_once(key: Key | None, effect: Callable[[], Answer]) -> tuple[Answer, bool]:
    if key is None:
        return await database.write(effect), False

    def recorded_effect() -> Answer:
        answer = effect()
        _record(key, answer)
        return answer

    try:
        async with asyncio.timeout(settings.IDEMPOTENCY_WAIT):
            while True:
                try:
                    return await database.write(recorded_effect), False
                except _KeyTaken:
                    if stored := await database.read(lambda: _stored(key)):
                        IDEMPOTENT_REPLAYS.inc()
                        return stored, True
                    await database.write(lambda: _free_expired(key))
    except TimeoutError:
        raise IdempotencyInProgress(headers={"Retry-After": "1"}) from None


def _record(key: Key, answer: Answer) -> None:
    moment = now()
    inserted = _INSERT.run(
        scope_digest=key.scope_digest,
        request_digest=key.request_digest,
        status=answer.status,
        body=answer.body,
        location=answer.location,
        etag=answer.etag,
        created_at=moment,
        expires_at=moment + timedelta(seconds=settings.IDEMPOTENCY_TTL),
    )
    if not inserted:
        raise _KeyTaken


def _stored(key: Key) -> Answer | None:
    """The stored answer, or None if it has expired (or has just been purged). Raises IdempotencyMismatch."""
    record = IdempotencyRecord.objects.filter(pk=key.scope_digest, expires_at__gt=now()).first()
    if record is None:
        return None
    if record.request_digest != key.request_digest:
        raise IdempotencyMismatch
    return Answer(record.status, bytes(record.body), record.location, record.etag)


def _free_expired(key: Key) -> None:
    IdempotencyRecord.objects.filter(pk=key.scope_digest, expires_at__lte=now()).delete()


def purge(batch_size: int) -> int:
    """Deletes a batch of expired records; returns how many."""
    expired = IdempotencyRecord.objects.filter(expires_at__lte=now()).values("pk")[:batch_size]
    return IdempotencyRecord.objects.filter(pk__in=list(expired.values_list("pk", flat=True))).delete()[0]
