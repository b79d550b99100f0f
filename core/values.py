"""Values that every package uses: identifiers, instants and JSON text.

Identifiers are UUIDs of version 7 (RFC 9562), which sort by creation time. Instants are RFC 3339 in UTC with
microseconds and a `Z`.
"""

import re
import uuid
from datetime import UTC, datetime, timedelta

import orjson
from uuid_utils.compat import uuid7 as _uuid7

MICROSECOND = timedelta(microseconds=1)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


def uuid7() -> uuid.UUID:
    """Return a new UUIDv7 as the standard library's type."""
    return _uuid7()


def is_id(text: str) -> bool:
    """Return whether the text is a UUID in its usual form, in upper or lower case."""
    return _UUID.fullmatch(text) is not None


def canonical_uuid(text: str) -> str:
    """Return a UUID with dashes. SQLite stores UUIDs without them."""
    return text if len(text) == 36 else f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def now() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.now(UTC)


def later_than(moment: datetime) -> datetime:
    """Return the current time, or the microsecond after `moment` if the clock is behind it."""
    return max(now(), moment + MICROSECOND)


def rfc3339(moment: datetime | str) -> str:
    """Format an instant for the API. A string must be a timestamp that the database cast to text, in UTC."""
    if isinstance(moment, str):
        if len(moment) == 26 and moment[23] != "+":
            return f"{moment[:10]}T{moment[11:]}Z"
        # PostgreSQL drops trailing zeros from the fraction, and the fraction itself if it is zero.
        time = moment[11:].removesuffix("+00")
        return f"{moment[:10]}T{time if len(time) == 15 else (time + '.')[:9] + time[9:].ljust(6, '0')}Z"
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def same_json(one: str, other: str) -> bool:
    """Return whether two compact JSON texts are equal, whatever the order of keys. 1, 1.0 and true differ."""
    return one == other or _sorted(one) == _sorted(other)


def _sorted(text: str) -> bytes:
    return orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS)
