"""Instants: RFC 3339, UTC, microseconds, `Z`."""

from datetime import UTC, datetime, timedelta

MICROSECOND = timedelta(microseconds=1)


def now() -> datetime:
    """The present, aware, in UTC."""
    return datetime.now(UTC)


def later_than(moment: datetime) -> datetime:
    """The present, or the next microsecond after `moment` should the clock not have come that far."""
    return max(now(), moment + MICROSECOND)


def rfc3339(moment: datetime | str) -> str:
    """An instant as the API writes it; a string is one as a database casts it to text (UTC)."""
    if isinstance(moment, str):
        if len(moment) == 26 and moment[23] != "+":
            return f"{moment[:10]}T{moment[11:]}Z"
        # "2026-01-31 12:00:00", and a fraction that PostgreSQL cuts at its last digit that is not zero.
        time = moment[11:].removesuffix("+00")
        return f"{moment[:10]}T{time if len(time) == 15 else (time + '.')[:9] + time[9:].ljust(6, '0')}Z"
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
