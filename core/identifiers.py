"""Identifiers: UUID version 7 (RFC 9562), ordered by time."""

import re
import uuid

from uuid_utils.compat import uuid7 as _uuid7

from core.errors import NotFound

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


def uuid7() -> uuid.UUID:
    """A new UUIDv7 as the standard library's type."""
    return _uuid7()


def is_id(text: str) -> bool:
    """Whether it is a UUID in its usual form, in upper or lower case."""
    return _UUID.fullmatch(text) is not None


def parse_id(text: str) -> uuid.UUID:
    """An id from a path. Raises NotFound for what is none: it cannot be told from one that does not exist."""
    if not _UUID.fullmatch(text):
        raise NotFound
    return uuid.UUID(text)


def canonical_uuid(text: str) -> str:
    """A UUID with its dashes, out of a database's text; SQLite keeps it without."""
    return text if len(text) == 36 else f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
