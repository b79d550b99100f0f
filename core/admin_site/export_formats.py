"""What exports look like: CSV for spreadsheets, JSON for programs. Both are put together page by page."""

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

from django.db import models

from core.resources.model import ResourceQuerySet
from core.values import canonical_uuid, rfc3339

type Row = Any  # a named tuple, see Resource.row_type

# By this spreadsheets know that the text is UTF-8.
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# What a spreadsheet would run (https://owasp.org/www-community/attacks/CSV_Injection), also behind blanks that it may
# drop, and in the wide forms that some take for the narrow ones.
_FORMULA = re.compile(r"[\s\x00-\x1f\u200b\ufeff]*[=+\-@＝＋－＠]|[\t\r\n]")


@dataclass(frozen=True, slots=True)
class Format:
    """A file of rows: its beginning, a page of them (and whether it is the first), its end."""

    name: str
    suffix: str
    content_type: str
    beginning: bytes
    page: Callable[[Sequence[Row], bool], bytes]
    end: bytes


def json_format(to_json: Callable[[Row], bytes]) -> Format:
    """A JSON array, a line for each row: exactly what the API answers."""

    def page(rows: Sequence[Row], is_first: bool) -> bytes:
        lines = b",\n".join(map(to_json, rows))
        return lines if is_first or not rows else b",\n" + lines

    return Format("JSON", "json", "application/json", b"[\n", page, b"\n]\n")


def csv_format(queryset: ResourceQuerySet[Any]) -> Format:
    """CSV (RFC 4180) with a line of names, of the fields of `as_rows`. No cell of it is a formula."""
    names = queryset.model.row_fields()
    cells = [_cell(queryset.model._meta.get_field(name)) for name in names]

    def page(rows: Sequence[Row], is_first: bool) -> bytes:
        return _lines([make(value) for make, value in zip(cells, row, strict=True)] for row in rows)

    return Format("CSV", "csv", "text/csv; charset=utf-8", BYTE_ORDER_MARK + _lines([names]), page, b"")


def _lines(rows: Any) -> bytes:
    text = StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cell(field: Any) -> Callable[[Any], Any]:
    if isinstance(field, models.UUIDField | models.ForeignKey):
        return canonical_uuid
    if isinstance(field, models.DateTimeField):
        return rfc3339
    if isinstance(field, models.CharField | models.TextField):
        return without_formula
    return str


def without_formula(text: str) -> str:
    """The text; an apostrophe before what a spreadsheet would take for a formula has it shown as it is."""
    return f"'{text}" if _FORMULA.match(text) else text
