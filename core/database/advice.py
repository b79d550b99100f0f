"""What an operator is told of a database error on the command line, in place of a stack."""

from django.db import Error

from core.database.failures import is_state, sqlstate

# https://www.postgresql.org/docs/current/errcodes-appendix.html: no such table, no such column
NOT_THERE = {"42P01", "42703"}


def advice(error: Error) -> str | None:
    """What is wrong and how to mend it; None for what only a change of the code can mend."""
    told = str(error).strip()
    if sqlstate(error) in NOT_THERE or told.startswith(("no such table", "no such column")):
        return f"The database is not up to date ({told.splitlines()[0]}): run python manage.py migrate"
    if is_state(error):
        return f"The database that DB_DSN names can't be used: {told}"
    return None
