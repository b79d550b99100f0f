"""Exports: the rows of a list as a file, however many they are.

A page of rows at a time is read by a job of the database's pool and sent before the next is read. So an export holds
no more than a page in memory, no transaction and no lock, keeps neither the event loop nor the admin's one thread,
and goes as fast as whoever downloads it. A page begins after the last row of the one before, by the index of the
list's order: the last costs what the first does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from functools import partial
from time import monotonic
from typing import Any
from uuid import UUID

from django.db import models, transaction
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase

from core.admin_site.export_formats import Format, Row
from core.auth import audit
from core.auth.audit import Event
from core.auth.backends import caller_of_any
from core.database.pool import database
from core.resources.model import ResourceQuerySet
from core.values import now, rfc3339

PAGE_ROWS = 200
DETAIL_LENGTH = 200

logger = logging.getLogger("agent_router.admin")

# One page at a time, of all exports together, and then a rest of the same length: the database's other threads and
# half of Python's time stay with requests.
_turn = asyncio.Lock()


def export(request: HttpRequest, rows: ResourceQuerySet[Any], form: Format, *, chosen_by: str) -> HttpResponseBase:
    """A download of the rows, in their order, of which only the first column counts, and then the id.

    The audit log has it before the first row leaves. `chosen_by` tells there which rows these are.
    """
    plural = str(rows.model._meta.verbose_name_plural)
    _record(request, f"{plural} as {form.name}, {chosen_by}")
    response = StreamingHttpResponse(stream(rows, form), content_type=form.content_type)
    response["Content-Disposition"] = f'attachment; filename="{plural}-{now():%Y%m%d-%H%M%S}.{form.suffix}"'
    return response


async def stream(rows: ResourceQuerySet[Any], form: Format) -> AsyncIterator[bytes]:
    """The file, a page at a time."""
    read = _pages(rows, form)
    count, is_whole = 0, False
    try:
        yield form.beginning
        after: Row | None = None
        while True:
            async with _turn:
                began = monotonic()
                content, found, after = await database.read_anywhere(partial(read, after))
                await asyncio.sleep(monotonic() - began)
            count += found
            if content:
                yield content
            if found < PAGE_ROWS:
                break
        if form.end:
            yield form.end
        is_whole = True
    finally:
        logger.info("Export ended", extra={"exported": rows.model._meta.label, "rows": count, "whole": is_whole})


def _pages(rows: ResourceQuerySet[Any], form: Format) -> Callable[[Row | None], tuple[bytes, int, Row | None]]:
    """What reads the page after a row: the page, how many rows it has, and the last of them."""
    first = str(next(iter(rows.query.order_by), "-created_at"))
    is_down, name = first.startswith("-"), first.removeprefix("-").replace("pk", "id")
    sign = "-" if is_down else ""
    row_type = rows.model.row_type()
    field = rows.model._meta.get_field(name)
    in_order: Any = rows.prefetch_related(None).order_by(*dict.fromkeys((f"{sign}{name}", f"{sign}id")))

    def read(after: Row | None) -> tuple[bytes, int, Row | None]:
        chosen = in_order
        if after is not None:
            value, row_id = _python_value(field, getattr(after, name)), UUID(after.id)
            bounds = {f"{name}__{'lte' if is_down else 'gte'}": value}
            seen = {name: value, f"id__{'gte' if is_down else 'lte'}": row_id}
            # Before the list's own filters: of two bounds on a column SQLite begins its walk at the first.
            chosen = rows.model._default_manager.filter(**bounds).exclude(**seen) & in_order
        page: list[Row] = list(map(row_type._make, chosen.as_rows()[:PAGE_ROWS]))
        return form.page(page, after is None), len(page), page[-1] if page else None

    return read


def _python_value(field: models.Field[Any, Any], text: Any) -> Any:
    """What a row has as text, as queries want it."""
    if isinstance(field, models.DateTimeField):
        return datetime.fromisoformat(rfc3339(text))
    return UUID(text) if isinstance(field, models.UUIDField) else text


def _record(request: HttpRequest, detail: str) -> None:
    user_id: Any = request.user.pk
    event = audit.record(Event.EXPORTED, caller_of_any(request), user_id=user_id, detail=detail[:DETAIL_LENGTH])
    transaction.on_commit(lambda: audit.announce([event]))
