"""The history of one item as its clients observed it, and a check of its consistency.

The item is a register of versions: a read returns one, and a change under If-Match of version n creates n + 1. The
history is linearizable exactly if

- one change created each version, began before any client observed the version, and sent what the version contains;
- no operation that begins after another has observed or created a version observes an older one.

Versions give the order of the changes, so Wing and Gong's search is not needed. Only times can contradict the order.
The history is regular if the second rule holds for acknowledged changes only: during a change, one read may return
the new version and the next read the old one.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple


class Observation(NamedTuple):
    """A version in the response to a read or a refused change. All times come from one clock."""

    began: float
    ended: float
    version: int
    name: str | None
    """The name in this version, if the response contained it."""


class Change(NamedTuple):
    """A change that creates `version`. `ended` is infinite if its outcome is unknown."""

    began: float
    ended: float
    version: int
    name: str


@dataclass
class History:
    """The history of one item, which begins with version 1. Any thread may append to the lists."""

    first_name: str
    observations: list[Observation] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)

    def violations(self, *, allow_regular: bool = False) -> list[str]:
        """Return the violations of linearizability, or only those of regularity if `allow_regular`."""
        acknowledged: list[Observation | Change] = [change for change in self.changes if change.ended < inf]
        known = [*acknowledged, *self.observations]
        return [*self._violations_by_changes(), *_violations_of_order(known, acknowledged if allow_regular else known)]

    def _violations_by_changes(self) -> list[str]:
        found = []
        creators: dict[int, list[Change]] = defaultdict(list)
        for change in self.changes:
            creators[change.version].append(change)
        for version, changes in creators.items():
            if sum(change.ended < inf for change in changes) > 1:
                found.append(f"version {version} was created by several changes: {changes}")
        for one in self.observations:
            candidates = [change for change in creators[one.version] if one.name in (None, change.name)]
            if one.version == 1:
                if one.name not in (None, self.first_name):
                    found.append(f"version 1 has another name: {one}")
            elif not candidates:
                found.append(f"no change created {one}")
            elif min(change.began for change in candidates) > one.ended:
                found.append(f"it was observed before it was created: {one}")
        return found


def _violations_of_order(events: Sequence[Observation | Change], known: Sequence[Observation | Change]) -> list[str]:
    """Return the events that observe an older version than a known event that ended before they began."""
    ends = sorted(known, key=lambda event: event.ended)
    found: list[str] = []
    newest: Observation | Change | None = None
    place = 0
    for event in sorted(events, key=lambda event: event.began):
        while place < len(ends) and ends[place].ended < event.began:
            if newest is None or ends[place].version > newest.version:
                newest = ends[place]
            place += 1
        # A change has observed the version before the one that it creates.
        version = event.version - isinstance(event, Change)
        if newest is not None and version < newest.version:
            found.append(f"{event} began after {newest} had ended")
    return found
