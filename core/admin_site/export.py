"""Exports: the rows of a list as a download, however many rows there are.

The service reads and sends one page at a time, without a transaction or lock. Each page starts after the last row of
the page before, by the index of the list's order, so the last page costs as much as the first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
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
from core.auth.caller import caller_of
from core.database.pool import database
from core.resources.model import ResourceQuerySet
from core.values import now, rfc3339

PAGE_ROWS = 200
MAX_DETAIL_CHARS = 200

logger = logging.getLogger("agent_router.admin")

# All exports of a process read one page at a time and then pause for as long as the page took. This leaves the other
# database threads, and half of Python's time, to requests.
_turn = asyncio.Lock()


def export(request: HttpRequest, rows: ResourceQuerySet[Any], form: Format, *, selection: str) -> HttpResponseBase:
    """Return a download of the rows, and record the export with `selection` as the description of the rows."""
    plural = str(rows.model._meta.verbose_name_plural)
    detail = f"{plural} as {form.name}, {selection}"[:MAX_DETAIL_CHARS]
    user_id: Any = request.user.pk
    event = audit.record(Event.EXPORTED, caller_of(request), user_id=user_id, detail=detail)
    transaction.on_commit(partial(audit.announce, [event]))
    response = StreamingHttpResponse(stream(rows, form), content_type=form.content_type)
    response["Content-Disposition"] = f'attachment; filename="{plural}-{now():%Y%m%d-%H%M%S}.{form.suffix}"'
    return response


async def stream(rows: ResourceQuerySet[Any], form: Format) -> AsyncIterator[bytes]:
    """Yield the file page by page. Log the number of rows and whether the file is complete, also after a disconnect."""
    reader = PageReader(rows, form)
    count, is_complete = 0, False
    try:
        yield form.beginning
        while True:
            async with _turn:
                started = monotonic()
                content, found = await database.read_anywhere(reader.next_page)
                await asyncio.sleep(monotonic() - started)
            count += found
            if content:
                yield content
            if found < PAGE_ROWS:
                break
        if form.end:
            yield form.end
        is_complete = True
    finally:
        logger.info("Export ended", extra={"exported": rows.model._meta.label, "rows": count, "whole": is_complete})


class PageReader:
    """Reads a queryset page by page, sorted by its first sort column and then by id."""

    def __init__(self, rows: ResourceQuerySet[Any], form: Format) -> None:
        first_sort = str(next(iter(rows.query.order_by), "-created_at"))
        sign = "-" if first_sort.startswith("-") else ""
        self._is_descending = bool(sign)
        self._sort = first_sort.removeprefix("-").replace("pk", "id")
        self._form, self._model = form, rows.model
        self._sorted: Any = rows.prefetch_related(None).order_by(*dict.fromkeys((f"{sign}{self._sort}", f"{sign}id")))
        self._last: Row | None = None

    def next_page(self) -> tuple[bytes, int]:
        """Return the next page's part of the file and the number of its rows. Call this in a database thread."""
        rows = self._sorted if self._last is None else self._rows_after(self._last)
        page: list[Row] = list(map(self._model.row_type()._make, rows.as_rows()[:PAGE_ROWS]))
        content = self._form.page(page, is_first=self._last is None)
        if page:
            self._last = page[-1]
        return content, len(page)

    def _rows_after(self, last: Row) -> Any:
        value = _python_value(self._model._meta.get_field(self._sort), getattr(last, self._sort))
        bound, seen = ("lte", "gte") if self._is_descending else ("gte", "lte")
        from_value = self._model._default_manager.filter(**{f"{self._sort}__{bound}": value})
        # The list's own filters come last: of two bounds on a column, SQLite starts at the first.
        return from_value.exclude(**{self._sort: value, f"id__{seen}": UUID(last.id)}) & self._sorted


def _python_value(field: models.Field[Any, Any], text: Any) -> Any:
    if isinstance(field, models.DateTimeField):
        return datetime.fromisoformat(rfc3339(text))
    return UUID(text) if isinstance(field, models.UUIDField) else text
