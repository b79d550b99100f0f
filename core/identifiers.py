"""Identifiers: UUID version 7 (RFC 9562), ordered by time."""

import uuid

from uuid_utils.compat import uuid7 as _uuid7


def uuid7() -> uuid.UUID:
    """A new UUIDv7 as the standard library's type."""
    return _uuid7()
