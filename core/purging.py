"""What has expired, and who deletes it.

Each part of the service registers how it deletes one batch of its own.
"""

from collections.abc import Callable

# Deletes at most so many rows in one short transaction, and returns how many it deleted.
type Purge = Callable[[int], int]

_purges: dict[str, Purge] = {}


def register(name: str, purge: Purge) -> None:
    """Has `manage.py purge_expired` call `purge` until it finds less than a batch.

    `name` is a plural, for people.
    """
    _purges[name] = purge


def registered() -> dict[str, Purge]:
    """Every purge by its name, in the order in which they were registered."""
    return dict(_purges)
