"""Identifiers in paths."""

from uuid import UUID

from core.http.problems import NotFound
from core.values import is_id


def parse_id(text: str) -> UUID:
    """Return the id in a path. Raises NotFound for a malformed id, as for an id that does not exist."""
    if not is_id(text):
        raise NotFound
    return UUID(text)
