"""A history of one item, as its clients saw it, and whether one register could have brought it about.

The item is a register of versions: a read shows one, a change on condition of version n makes n + 1. Such a history
is linearizable exactly if

- each version was made by one change, which had begun before anybody saw the version, and holds what that change sent;
- whoever begins after somebody else has seen a version, or made it, does not see an older one.

(Wing and Gong's search is not needed: versions tell the order of the changes, and only times can be at odds with it.)
It is regular if the second holds for changes that were acknowledged, and not for what others have seen: while a change
is under way, one may see it and the next one not.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple


class Seen(NamedTuple):
    """A version that an answer showed, be it a read's or a refused change's. Times are those of one clock."""

    began: float
    ended: float
    version: int
    name: str | None
    """What the version held, if the answer told."""


class Change(NamedTuple):
    """A change that makes `version` of its predecessor; `ended` is infinite if nobody knows what became of it."""

    began: float
    ended: float
    version: int
    name: str


@dataclass
class History:
    """Of one item, which was made as version 1 before the history begins. Lists may be added to by any thread."""

    first_name: str
    seen: list[Seen] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)

    def faults(self, *, is_regular_enough: bool = False) -> list[str]:
        """Why it is not linearizable, or not even regular if that is enough."""
        acknowledged: list[Seen | Change] = [change for change in self.changes if change.ended < inf]
        known = [*acknowledged, *self.seen]
        return [*self._faults_of_changes(), *_faults_of_order(known, acknowledged if is_regular_enough else known)]

    def _faults_of_changes(self) -> list[str]:
        found = []
        makers: dict[int, list[Change]] = defaultdict(list)
        for change in self.changes:
            makers[change.version].append(change)
        for version, changes in makers.items():
            if sum(change.ended < inf for change in changes) > 1:
                found.append(f"version {version} was made by several: {changes}")
        for seen in self.seen:
            may_be = [change for change in makers[seen.version] if seen.name in (None, change.name)]
            if seen.version == 1:
                if seen.name not in (None, self.first_name):
                    found.append(f"version 1 is not what was made: {seen}")
            elif not may_be:
                found.append(f"nobody made {seen}")
            elif min(change.began for change in may_be) > seen.ended:
                found.append(f"it was seen before it was made: {seen}")
        return found


def _faults_of_order(events: Sequence[Seen | Change], known: Sequence[Seen | Change]) -> list[str]:
    """Events that show an older version than something known that had ended before they began."""
    ends = sorted(known, key=lambda one: one.ended)
    found: list[str] = []
    newest: Seen | Change | None = None
    place = 0
    for one in sorted(events, key=lambda one: one.began):
        while place < len(ends) and ends[place].ended < one.began:
            if newest is None or ends[place].version > newest.version:
                newest = ends[place]
            place += 1
        # A change has seen the version before its own, and made its own.
        version = one.version - isinstance(one, Change)
        if newest is not None and version < newest.version:
            found.append(f"{one} began after {newest} had ended")
    return found
