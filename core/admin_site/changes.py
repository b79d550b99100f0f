"""What staff have changed, in Django's log of the admin: the values before and after, and their difference for people.

Django's log names the fields that were changed. Beside that, an entry here keeps what they were and became.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

import orjson
from django.contrib.admin.models import LogEntry
from django.forms import ModelForm

# Beside Django's own keys, which tell its templates "Changed name and metadata."
VALUES, VERSION = "values", "version"
# Lines around a change that are shown with it; and how many lines a difference has at most.
CONTEXT_LINES, MOST_LINES = 3, 400
# More comparisons than these are not made to find out which lines have stayed amid those that have not.
MOST_COMPARISONS = 100_000

type Kind = Literal["same", "removed", "added", "left_out"]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a difference."""

    kind: Kind
    text: str

    @property
    def sign(self) -> str:
        """What tells the kinds apart without colours."""
        return {"removed": "−", "added": "+"}.get(self.kind, "")


@dataclass(frozen=True, slots=True)
class Change:
    """A field, and how its text has changed."""

    field: str
    lines: list[Line]


def note_values(message: list[dict[str, Any]], form: ModelForm[Any], *, version: int | None) -> None:
    """Adds the values of the form's changed fields, and the version that they have made, to Django's message."""
    for part in message:
        if "changed" in part and "name" not in part["changed"] and form.changed_data:
            names = [name for name in form.changed_data if name in form.cleaned_data]
            part[VALUES] = {name: [form.initial.get(name), form.cleaned_data[name]] for name in names}
            part[VERSION] = version


def changes_of(entry: LogEntry) -> list[Change]:
    """The differences that the entry keeps; none for one of Django's own."""
    return [
        Change(name.replace("_", " "), difference(_lines(before), _lines(after)))
        for part in _parts(entry)
        for name, (before, after) in part.get(VALUES, {}).items()
    ]


def version_of(entry: LogEntry) -> int | None:
    """The version that the change has made, if the entry keeps it."""
    return next((part[VERSION] for part in _parts(entry) if VERSION in part), None)


def _parts(entry: LogEntry) -> list[dict[str, Any]]:
    try:
        found = json.loads(entry.change_message)
    except ValueError:
        return []
    return [part for part in found if isinstance(part, dict)] if isinstance(found, list) else []


def _lines(value: Any) -> list[str]:
    """JSON as people read it, in an order of keys that does not differ by itself; text as it is."""
    if isinstance(value, dict | list):
        return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode().split("\n")
    return str("" if value is None else value).split("\n")


def difference(before: Sequence[str], after: Sequence[str]) -> list[Line]:
    """What was removed and added, with a few lines around it."""
    lines = list(_with_context(list(_compare(before, after))))
    if len(lines) > MOST_LINES:
        return [*lines[:MOST_LINES], Line("left_out", f"{len(lines) - MOST_LINES:,} more lines")]
    return lines


def _compare(before: Sequence[str], after: Sequence[str]) -> Iterator[Line]:
    start = _count_same(before, after)
    end = _count_same(before[start:][::-1], after[start:][::-1])
    old, new = before[start : len(before) - end], after[start : len(after) - end]
    yield from (Line("same", text) for text in before[:start])
    opcodes: Sequence[tuple[str, int, int, int, int]] = [("replace", 0, len(old), 0, len(new))]
    if len(old) * len(new) <= MOST_COMPARISONS:
        opcodes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    for kind, i, j, k, m in opcodes:
        if kind == "equal":
            yield from (Line("same", text) for text in old[i:j])
        else:
            yield from (Line("removed", text) for text in old[i:j])
            yield from (Line("added", text) for text in new[k:m])
    yield from (Line("same", text) for text in before[len(before) - end :])


def _count_same(one: Sequence[str], other: Sequence[str]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


def _with_context(lines: list[Line]) -> Iterator[Line]:
    """Without the lines that are far from every change; a mark stands for them."""
    changed = [place for place, line in enumerate(lines) if line.kind != "same"]
    near = {place for at in changed for place in range(at - CONTEXT_LINES, at + CONTEXT_LINES + 1)}
    is_out = False
    for place, line in enumerate(lines):
        if place in near:
            yield line
        elif not is_out:
            yield Line("left_out", "")
        is_out = place not in near
