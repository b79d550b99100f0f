"""Which database errors are the database's state (503, try again) rather than a fault of the code (500)."""

import logging
import sqlite3

from django.db import InterfaceError, OperationalError

from core.errors import ServiceUnavailable

# https://www.sqlite.org/rescode.html: the primary codes that say the file, the disk or a lock is at fault.
SQLITE_STATES = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOTADB,
}
# After these the connection is as good as before.
SQLITE_PASSING_STATES = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL}

logger = logging.getLogger("agent_router.database")


def unavailable(error: BaseException) -> BaseException:
    """ServiceUnavailable for an error that is the database's state, any other error as it is."""
    if not is_state(error):
        return error
    logger.warning("The database cannot serve: %s", error, exc_info=error)
    problem = ServiceUnavailable("The database is out of reach or busy")
    problem.__cause__ = error
    return problem


def is_state(error: BaseException) -> bool:
    """Whether trying again later may help: the server is away, the disk is full, a lock is held too long."""
    if isinstance(error, InterfaceError):
        return True
    if not isinstance(error, OperationalError):
        return False
    code = _sqlite_code(error)
    return code is None or code in SQLITE_STATES


def stays_with_connection(error: BaseException) -> bool:
    """Whether SQLite must open the file anew: one that could only be read when it was opened stays read-only."""
    return _sqlite_code(error) in SQLITE_STATES - SQLITE_PASSING_STATES


def _sqlite_code(error: BaseException | None) -> int | None:
    """SQLite's primary result code, if that is what the error comes from."""
    while error is not None and not isinstance(error, sqlite3.Error):
        error = error.__cause__
    return None if error is None else getattr(error, "sqlite_errorcode", 0) & 0xFF
