"""Differences for people: short, exact, and bounded whatever the values are."""

import json
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.forms import ModelForm

from core.admin_site.changes import MOST_LINES, Line, changes_of, difference, note_values, version_of


def told(before: str, after: str) -> list[str]:
    return [f"{line.sign}{line.text}" for line in difference(before.split("\n"), after.split("\n"))]


def entry(message: Any) -> LogEntry:
    return LogEntry(action_flag=CHANGE, change_message=message if isinstance(message, str) else json.dumps(message))


def test_only_what_is_near_a_change_is_shown() -> None:
    before = "\n".join(str(n) for n in range(20))
    assert told(before, before.replace("\n10\n", "\nten\n")) == ["", *"789", "−10", "+ten", "11", "12", "13", ""]
    assert told("a", "b") == ["−a", "+b"]
    assert told("", "b") == ["−", "+b"]


def test_what_is_the_same_has_no_difference() -> None:
    assert [line.kind for line in difference(["a", "b"], ["a", "b"])] == ["left_out"]


@pytest.mark.parametrize("before", [["x"] * 5000, [str(n) for n in range(5000)], [str(n % 7) for n in range(5000)]])
def test_differences_are_bounded(before: list[str]) -> None:
    found = difference(before, [f"{text}!" for text in reversed(before)])
    assert len(found) == MOST_LINES + 1
    assert found[-1] == Line("left_out", f"{10_000 - MOST_LINES:,} more lines")


def test_values_are_shown_in_an_order_of_their_own() -> None:
    values = {"metadata": [{"b": 1, "a": [1]}, {"a": [1], "b": 2}], "a_name": ["one\ntwo", "one\nthree"]}
    found = changes_of(entry([{"changed": {"fields": ["metadata"]}, "values": values, "version": 7}]))
    assert [change.field for change in found] == ["metadata", "a name"]
    assert [line.text.strip() for line in found[0].lines if line.kind in ("removed", "added")] == ['"b": 1', '"b": 2']
    assert version_of(entry([{"changed": {"fields": []}, "version": 7}])) == 7


@pytest.mark.parametrize(
    "message", ["Deactivated.", "", [{"added": {}}], [{"changed": {"fields": ["x"]}}], {"a": 1}, [1]]
)
def test_entries_of_others_have_no_differences(message: Any) -> None:
    assert changes_of(entry(message)) == []
    assert version_of(entry(message)) is None


def test_django_still_tells_what_was_changed() -> None:
    class Form:
        changed_data = ["name", "gone"]
        initial = {"name": "old"}
        cleaned_data = {"name": "new"}

    form: ModelForm[Any] = Form()  # type: ignore[assignment]
    message: list[dict[str, Any]] = [{"changed": {"fields": ["name"]}}]
    note_values(message, form, version=3)
    logged = entry(message)
    assert logged.get_change_message() == "Changed name."
    assert changes_of(logged)[0].lines == [Line("removed", "old"), Line("added", "new")]
    assert version_of(logged) == 3
