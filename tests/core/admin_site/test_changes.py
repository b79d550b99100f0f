"""Differences between values: short, exact, and bounded for any values."""

import json
from datetime import date
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.forms import ModelForm

from core.admin_site.changes import MAX_LINES, Line, changes_of, difference, record_values, version_of


def shown(before: str, after: str) -> list[str]:
    return [f"{line.sign}{line.text}" for line in difference(before.split("\n"), after.split("\n"))]


def entry(message: Any) -> LogEntry:
    return LogEntry(action_flag=CHANGE, change_message=message if isinstance(message, str) else json.dumps(message))


def test_difference_shows_only_lines_near_a_change() -> None:
    before = "\n".join(str(n) for n in range(20))
    assert shown(before, before.replace("\n10\n", "\nten\n")) == ["", *"789", "−10", "+ten", "11", "12", "13", ""]
    assert shown("a", "b") == ["−a", "+b"]
    assert shown("", "b") == ["−", "+b"]


def test_equal_values_have_no_difference() -> None:
    assert [line.kind for line in difference(["a", "b"], ["a", "b"])] == ["omitted"]


@pytest.mark.parametrize("before", [["x"] * 5000, [str(n) for n in range(5000)], [str(n % 7) for n in range(5000)]])
def test_differences_are_bounded(before: list[str]) -> None:
    found = difference(before, [f"{text}!" for text in reversed(before)])
    assert len(found) == MAX_LINES + 1
    assert found[-1] == Line("omitted", f"{10_000 - MAX_LINES:,} more lines")


def test_keys_are_compared_in_sorted_order() -> None:
    values = {"metadata": [{"b": 1, "a": [1]}, {"a": [1], "b": 2}], "a_name": ["one\ntwo", "one\nthree"]}
    found = changes_of(entry([{"changed": {"fields": ["metadata"]}, "values": values, "version": 7}]))
    assert [change.field for change in found] == ["metadata", "a name"]
    assert [line.text.strip() for line in found[0].lines if line.kind in ("removed", "added")] == ['"b": 1', '"b": 2']
    assert version_of(entry([{"changed": {"fields": []}, "version": 7}])) == 7


@pytest.mark.parametrize(
    "message", ["Deactivated.", "", [{"added": {}}], [{"changed": {"fields": ["x"]}}], {"a": 1}, [1]]
)
def test_other_log_entries_have_no_differences(message: Any) -> None:
    assert changes_of(entry(message)) == []
    assert version_of(entry(message)) is None


def test_django_still_names_the_changed_fields() -> None:
    class Form:
        changed_data = ["name", "gone"]
        initial = {"name": "old"}
        cleaned_data = {"name": "new"}

    form: ModelForm[Any] = Form()  # type: ignore[assignment]
    message: list[dict[str, Any]] = [{"changed": {"fields": ["name"]}}]
    record_values(message, form, version=3)
    logged = entry(message)
    assert logged.get_change_message() == "Changed name."
    assert changes_of(logged)[0].lines == [Line("removed", "old"), Line("added", "new")]
    assert version_of(logged) == 3


def test_values_that_json_cannot_hold_are_logged_as_text() -> None:
    class Form:
        changed_data = ["due"]
        initial = {"due": None}
        cleaned_data = {"due": date(2026, 1, 31)}

    form: ModelForm[Any] = Form()  # type: ignore[assignment]
    message: list[dict[str, Any]] = [{"changed": {"fields": ["due"]}}]
    record_values(message, form, version=2)
    assert changes_of(entry(message))[0].lines == [Line("removed", ""), Line("added", "2026-01-31")]
