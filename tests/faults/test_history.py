"""The consistency check of histories: which histories it accepts and which it refuses."""

from math import inf

import pytest

from tests.faults.history import Change, History, Observation


def history(*events: Observation | Change) -> History:
    observations = [event for event in events if isinstance(event, Observation)]
    return History("a", observations, [event for event in events if isinstance(event, Change)])


@pytest.mark.parametrize(
    "events",
    [
        (Observation(0, 1, 1, "a"), Change(2, 3, 2, "b"), Observation(4, 5, 2, "b")),
        # During a change, reads may return the new or the old version.
        (Change(0, 9, 2, "b"), Observation(1, 3, 2, "b"), Observation(2, 4, 1, "a")),
        # A change with an unknown outcome may be observed later, or never.
        (Change(0, inf, 2, "b"), Observation(1, 2, 1, "a"), Observation(3, 4, 2, "b")),
        (Change(0, inf, 2, "b"), Change(1, 2, 2, "c"), Observation(3, 4, 2, "c")),
        # A refused change observes the newer version, but not its name.
        (Change(0, 1, 2, "b"), Observation(2, 3, 2, None)),
    ],
)
def test_linearizable_history_is_accepted(events: tuple[Observation | Change, ...]) -> None:
    assert history(*events).violations() == []


@pytest.mark.parametrize(
    ("events", "word"),
    [
        ((Change(0, 1, 2, "b"), Observation(2, 3, 1, "a")), "began after"),
        # A read returned the old version after another returned the new one, though the change had not ended.
        ((Change(0, 9, 2, "b"), Observation(1, 2, 2, "b"), Observation(3, 4, 1, "a")), "began after"),
        ((Change(0, 1, 2, "b"), Change(2, 3, 3, "c"), Observation(4, 5, 2, "b")), "began after"),
        ((Change(0, 1, 2, "b"), Change(2, 3, 2, "c")), "by several changes"),
        ((Observation(0, 1, 2, "b"), Change(2, 3, 2, "b")), "before it was created"),
        ((Change(0, 1, 2, "b"), Observation(2, 3, 2, "c")), "no change created"),
        ((Observation(0, 1, 3, None),), "no change created"),
        ((Observation(0, 1, 1, "b"),), "another name"),
    ],
)
def test_history_that_is_not_linearizable_is_refused(events: tuple[Observation | Change, ...], word: str) -> None:
    assert word in " ".join(history(*events).violations())


def test_regular_history_may_return_to_a_version_before_acknowledgement() -> None:
    not_monotonic = history(Change(0, 9, 2, "b"), Observation(1, 2, 2, "b"), Observation(3, 4, 1, "a"))
    assert not_monotonic.violations(allow_regular=True) == []
    too_old = history(Change(0, 2, 2, "b"), Observation(3, 4, 1, "a"))
    assert "began after" in " ".join(too_old.violations(allow_regular=True))
