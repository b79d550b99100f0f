"""The file formats of exports: CSV for spreadsheets, JSON for programs."""

import csv
import re
from collections.abc import Callable, Iterable, Sequence
from io import StringIO
from typing import Any

from django.db import models

from core.resources.model import ResourceQuerySet
from core.values import canonical_uuid, rfc3339

type Row = Any  # a named tuple of Resource.row_type
# A format has `beginning`, then pages of rows, then `end`.
type Format = JSONFormat | CSVFormat

# Spreadsheets read a file with this mark as UTF-8.
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Spreadsheets run such text as a formula (https://owasp.org/www-community/attacks/CSV_Injection). Some of them drop
# leading blanks, or treat the full-width characters like the ASCII ones.
_FORMULA = re.compile(r"[\s\x00-\x1f\u200b\ufeff]*[=+\-@＝＋－＠]|[\t\r\n]")


class JSONFormat:
    """A JSON array with one row per line, each exactly as the API returns it."""

    name, suffix, content_type = "JSON", "json", "application/json"
    beginning, end = b"[\n", b"\n]\n"

    def __init__(self, to_json: Callable[[Row], bytes]) -> None:
        self._to_json = to_json

    def page(self, rows: Sequence[Row], *, is_first: bool) -> bytes:
        lines = b",\n".join(map(self._to_json, rows))
        return lines if is_first or not rows else b",\n" + lines


class CSVFormat:
    """CSV (RFC 4180) of the fields of `as_rows`, with a header line. No cell is a formula."""

    name, suffix, content_type = "CSV", "csv", "text/csv; charset=utf-8"
    end = b""

    def __init__(self, queryset: ResourceQuerySet[Any]) -> None:
        names = queryset.model.row_fields()
        self.beginning = BYTE_ORDER_MARK + _lines([names])
        self._to_cell = [_cell_of(queryset.model._meta.get_field(name)) for name in names]

    def page(self, rows: Sequence[Row], *, is_first: bool) -> bytes:
        return _lines(map(self._cells, rows))

    def _cells(self, row: Row) -> list[str]:
        pairs = zip(self._to_cell, row, strict=True)
        return ["" if value is None else to_cell(value) for to_cell, value in pairs]


def _lines(rows: Iterable[Iterable[str]]) -> bytes:
    text = StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cell_of(field: Any) -> Callable[[Any], str]:
    if isinstance(field, models.UUIDField | models.ForeignKey):
        return canonical_uuid
    if isinstance(field, models.DateTimeField):
        return rfc3339
    if isinstance(field, models.CharField | models.TextField):
        return without_formula
    return str


def without_formula(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would run as a formula, so that it shows the text."""
    return f"'{text}" if _FORMULA.match(text) else text
