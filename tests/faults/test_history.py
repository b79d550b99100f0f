"""The checker of histories: what it lets pass and what it finds."""

from math import inf

import pytest

from tests.faults.history import Change, History, Seen


def history(*events: Seen | Change) -> History:
    seen = [event for event in events if isinstance(event, Seen)]
    return History("a", seen, [event for event in events if isinstance(event, Change)])


@pytest.mark.parametrize(
    "events",
    [
        (Seen(0, 1, 1, "a"), Change(2, 3, 2, "b"), Seen(4, 5, 2, "b")),
        # While a change is under way some see it and some do not.
        (Change(0, 9, 2, "b"), Seen(1, 3, 2, "b"), Seen(2, 4, 1, "a")),
        # Nobody knows what became of a change: it may be seen later, or never.
        (Change(0, inf, 2, "b"), Seen(1, 2, 1, "a"), Seen(3, 4, 2, "b")),
        (Change(0, inf, 2, "b"), Change(1, 2, 2, "c"), Seen(3, 4, 2, "c")),
        # A refused change has seen the newer version, without what it holds.
        (Change(0, 1, 2, "b"), Seen(2, 3, 2, None)),
    ],
)
def test_linearizable(events: tuple[Seen | Change, ...]) -> None:
    assert history(*events).faults() == []


@pytest.mark.parametrize(
    ("events", "word"),
    [
        ((Change(0, 1, 2, "b"), Seen(2, 3, 1, "a")), "began after"),
        # New and then old, though the change is still under way.
        ((Change(0, 9, 2, "b"), Seen(1, 2, 2, "b"), Seen(3, 4, 1, "a")), "began after"),
        ((Change(0, 1, 2, "b"), Change(2, 3, 3, "c"), Seen(4, 5, 2, "b")), "began after"),
        ((Change(0, 1, 2, "b"), Change(2, 3, 2, "c")), "by several"),
        ((Seen(0, 1, 2, "b"), Change(2, 3, 2, "b")), "before it was made"),
        ((Change(0, 1, 2, "b"), Seen(2, 3, 2, "c")), "nobody made"),
        ((Seen(0, 1, 3, None),), "nobody made"),
        ((Seen(0, 1, 1, "b"),), "not what was made"),
    ],
)
def test_not_linearizable(events: tuple[Seen | Change, ...], word: str) -> None:
    assert word in " ".join(history(*events).faults())


def test_regular_history_may_take_back_what_is_not_acknowledged() -> None:
    taken_back = history(Change(0, 9, 2, "b"), Seen(1, 2, 2, "b"), Seen(3, 4, 1, "a"))
    assert taken_back.faults(is_regular_enough=True) == []
    too_old = history(Change(0, 2, 2, "b"), Seen(3, 4, 1, "a"))
    assert "began after" in " ".join(too_old.faults(is_regular_enough=True))
