"""Keyset pagination: a signed cursor holds the sort value and the id of the last row of a page."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlencode

import orjson
from django.conf import settings
from django.db import models
from django.db.models.expressions import OrderBy
from django.db.models.fields.tuple_lookups import TupleGreaterThan, TupleLessThan
from django.db.models.lookups import GreaterThan, LessThan

from core.database.compiled import parameter
from core.http.principal import Principal
from core.http.problems import ValidationFailed
from core.http.request import Request

SIGNATURE_BYTES = 16
# Parameters: the row after which a page starts, and the row before which it ends.
CURSOR = ("cursor_value", "cursor_id")
EDGE = ("edge_value", "edge_id")


class Order(NamedTuple):
    """A sort by a field and then by id. `text` is the parameter, such as `-created_at`."""

    text: str

    @property
    def field(self) -> str:
        return self.text.removeprefix("-")

    @property
    def is_descending(self) -> bool:
        return self.text.startswith("-")

    def apply[Q: models.QuerySet[Any, Any]](
        self,
        rows: Q,
        *,
        after: bool,
        until: bool = False,
        by_id: bool = False,
        column: Callable[[str], Any] = models.F,
    ) -> Q:
        """Sort the rows that lie `after` the parameters of CURSOR and before (`until`) the parameters of EDGE.

        `by_id` compares only the id, because all rows have the same value in the field.
        """
        ordered = rows.order_by(*(OrderBy(column(name), descending=self.is_descending) for name in (self.field, "id")))
        for is_asked, names, is_less in ((after, CURSOR, self.is_descending), (until, EDGE, not self.is_descending)):
            if is_asked:
                ordered = ordered.filter(self._compare(rows.model, names, is_less, by_id, column))
        return ordered

    def _compare(
        self, model: Any, names: tuple[str, str], is_less: bool, by_id: bool, column: Callable[[str], Any]
    ) -> Any:
        if by_id:
            lookup = LessThan if is_less else GreaterThan
            return lookup(column("id"), parameter(model, "id", given_as=names[1]))
        fields = (self.field, "id")
        values = [parameter(model, name, given_as=given_as) for name, given_as in zip(fields, names, strict=True)]
        comparison = TupleLessThan if is_less else TupleGreaterThan
        return comparison([column(name) for name in fields], values)


@lru_cache
def _key(secret: str) -> bytes:
    return hashlib.sha256(b"cursor " + secret.encode()).digest()


def _signature(secret: str, bound_to: bytes, payload: bytes) -> bytes:
    # Keyed BLAKE2b (RFC 7693, section 2.9) is a MAC like HMAC, at a third of the time.
    signed = bound_to + b"\0" + payload
    return hashlib.blake2b(signed, key=_key(secret), digest_size=SIGNATURE_BYTES).digest()


def binding(principal: Principal, order: Order, filters: bytes) -> bytes:
    """Return the bytes that tie a cursor to its principal, sort and filters."""
    return b"\0".join((principal.user_key.encode(), order.text.encode(), filters))


def make_cursor(bound_to: bytes, value: str, row_id: str) -> str:
    """Return the cursor behind a row, from the text of its sort value and its id."""
    payload = orjson.dumps([value, row_id])
    return _encode(_signature(settings.JWT_SECRET, bound_to, payload) + payload)


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def read_cursor(cursor: str, bound_to: bytes) -> tuple[str, str]:
    """Return the sort value and the id in a cursor. Raises ValidationFailed if it is forged or of another list."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raw = b""
    signature, payload = raw[:SIGNATURE_BYTES], raw[SIGNATURE_BYTES:]
    secrets = [secret for secret in (settings.JWT_SECRET, settings.JWT_SECRET_PREVIOUS) if secret]
    is_signed = any(hmac.compare_digest(signature, _signature(secret, bound_to, payload)) for secret in secrets)
    # Several encodings may decode to the same bytes. Only the one that the service writes is accepted.
    if not is_signed or _encode(raw) != cursor:
        detail = "is not a cursor of this list, with this sort and these filters"
        raise ValidationFailed(errors=[{"parameter": "cursor", "detail": detail, "code": "cursor"}])
    value, row_id = orjson.loads(payload)
    return value, row_id


def link_header(request: Request, pairs: Iterable[tuple[str, str]], next_cursor: str | None) -> str:
    """Return the `Link` header (RFC 8288). `pairs` are the query parameters without the cursor."""
    scheme = "https" if request.is_https else "http"
    base = f"{scheme}://{request.header(b'host')}{request.path}"
    kept = urlencode(list(pairs))
    first = f'<{base}{"?" if kept else ""}{kept}>; rel="first"'
    if next_cursor is None:
        return first
    # The characters of a cursor need no percent-encoding.
    return f'{first}, <{base}?{kept}{"&" if kept else ""}cursor={next_cursor}>; rel="next"'
