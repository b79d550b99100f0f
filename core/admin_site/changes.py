"""Changes that staff made: the values before and after, added to Django's admin log, and their line differences."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

import orjson
from django.contrib.admin.models import LogEntry
from django.forms import ModelForm

# Keys of a log message, beside Django's own "changed", "added" and "deleted".
VALUES, VERSION = "values", "version"
CONTEXT_LINES, MAX_LINES = 3, 400
# SequenceMatcher takes seconds for long values. Above this product of lengths a difference shows all lines as replaced.
MAX_COMPARISONS = 100_000

SIGNS = {"removed": "−", "added": "+"}

type Kind = Literal["same", "removed", "added", "omitted"]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a difference. An omitted line stands for one or more lines."""

    kind: Kind
    text: str

    @property
    def sign(self) -> str:
        # For readers who do not see colours.
        return SIGNS.get(self.kind, "")


@dataclass(frozen=True, slots=True)
class Change:
    field: str
    lines: list[Line]


def record_values(message: list[dict[str, Any]], form: ModelForm[Any], *, version: int | None) -> None:
    """Add the old and new values of the form's changed fields, and the new version, to Django's log message."""
    for part in message:
        if "changed" in part and "name" not in part["changed"] and form.changed_data:
            names = [name for name in form.changed_data if name in form.cleaned_data]
            part[VALUES] = {
                name: [_loggable(form.initial.get(name)), _loggable(form.cleaned_data[name])] for name in names
            }
            part[VERSION] = version


def _loggable(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str | dict | list) else str(value)


def changes_of(entry: LogEntry) -> list[Change]:
    """Return the differences that the entry keeps. An entry that Django wrote keeps none."""
    return [
        Change(name.replace("_", " "), difference(_text_lines(before), _text_lines(after)))
        for part in _parts(entry)
        for name, (before, after) in part.get(VALUES, {}).items()
    ]


def version_of(entry: LogEntry) -> int | None:
    return next((part[VERSION] for part in _parts(entry) if VERSION in part), None)


def _parts(entry: LogEntry) -> list[dict[str, Any]]:
    try:
        message = json.loads(entry.change_message)
    except ValueError:
        return []
    return [part for part in message if isinstance(part, dict)] if isinstance(message, list) else []


def _text_lines(value: Any) -> list[str]:
    """Return the lines of the text or of the indented JSON, with sorted keys so that their order is no difference."""
    if isinstance(value, dict | list):
        return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode().split("\n")
    return str("" if value is None else value).split("\n")


def difference(before: Sequence[str], after: Sequence[str]) -> list[Line]:
    """Return the removed and added lines with a few lines of context, at most MAX_LINES and a note."""
    lines = list(_near_changes(list(_compare(before, after))))
    if len(lines) > MAX_LINES:
        return [*lines[:MAX_LINES], Line("omitted", f"{len(lines) - MAX_LINES:,} more lines")]
    return lines


def _compare(before: Sequence[str], after: Sequence[str]) -> Iterator[Line]:
    start = _count_same(before, after)
    end = _count_same(before[start:][::-1], after[start:][::-1])
    old, new = before[start : len(before) - end], after[start : len(after) - end]
    yield from (Line("same", text) for text in before[:start])
    opcodes: Sequence[tuple[str, int, int, int, int]] = [("replace", 0, len(old), 0, len(new))]
    if len(old) * len(new) <= MAX_COMPARISONS:
        opcodes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    for kind, old_start, old_end, new_start, new_end in opcodes:
        if kind == "equal":
            yield from (Line("same", text) for text in old[old_start:old_end])
        else:
            yield from (Line("removed", text) for text in old[old_start:old_end])
            yield from (Line("added", text) for text in new[new_start:new_end])
    yield from (Line("same", text) for text in before[len(before) - end :])


def _count_same(one: Sequence[str], other: Sequence[str]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(one), len(other)))


def _near_changes(lines: list[Line]) -> Iterator[Line]:
    shown = {
        index + offset
        for index, line in enumerate(lines)
        if line.kind != "same"
        for offset in range(-CONTEXT_LINES, CONTEXT_LINES + 1)
    }
    for index, line in enumerate(lines):
        if index in shown:
            yield line
        elif index == 0 or index - 1 in shown:
            yield Line("omitted", "")
