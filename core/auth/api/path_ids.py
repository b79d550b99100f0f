"""Ids in paths."""

from uuid import UUID

from core.errors import NotFound


def parse_id(text: str) -> UUID:
    """The id; raises NotFound for what is none, as for one that does not exist."""
    try:
        found = UUID(text)
    except ValueError:
        raise NotFound from None
    if str(found) != text.lower():
        raise NotFound
    return found
