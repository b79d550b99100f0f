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
    cause = error.__cause__
    if isinstance(cause, sqlite3.Error):
        return (getattr(cause, "sqlite_errorcode", 0) & 0xFF) in SQLITE_STATES
    return True

