"""Which database errors are the database's state (503, try again) rather than a fault of the code (500)."""

import logging
import sqlite3

from django.db import InterfaceError, OperationalError

from core.http.problems import ServiceUnavailable

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

# Of PostgreSQL, https://www.postgresql.org/docs/current/errcodes-appendix.html
READ_ONLY = "25006"  # a standby, or the old primary after a failover
# The server has undone the transaction because of another one; doing it again is how it comes to pass.
CLASHES = {"40001", "40P01"}
# What was prepared fits the schema no more, or is not there any more: all well in a new session.
STALE_SESSION = {"0A000", "26000"}
POSTGRES_STATES = {
    READ_ONLY,
    *CLASHES,
    "25P03",  # the transaction was idle for too long: this process was stopped in the middle of it
    "3D000",  # the database is not there (yet)
    "55P03",  # lock_timeout
    "57014",  # statement_timeout
    "XX001",  # corrupted data or
    "XX002",  # index
}
# Whole classes: connection, password, resources (disk, memory, connections), operator's doings, I/O.
POSTGRES_STATE_CLASSES = {"08", "28", "53", "57", "58"}
LAST_WORDS = {"FATAL", "PANIC"}
# In place of an error that quotes the text.
DAMAGED_TEXT = "database disk image is malformed: a text is not UTF-8"
# Python raises the first when it reads a row, the second in the function that folds a text for a search.
SIGNS_OF_DAMAGED_TEXT = ("Could not decode to UTF-8", "user-defined function raised exception")
PROTOCOL_VIOLATION = "08P01"  # no state, but what is said here

logger = logging.getLogger("agent_router.database")


def unavailable(error: BaseException) -> BaseException:
    """ServiceUnavailable for an error that is the database's state, any other error as it is."""
    if not is_state(error):
        return error
    # What was being asked is no part of it: with its stack, each request of an outage would leave a page in the log.
    logger.warning("The database cannot serve: %s", DAMAGED_TEXT if _is_damaged_text(error) else str(error).strip())
    problem = ServiceUnavailable("The database is out of reach or busy")
    problem.__cause__ = error
    return problem


def is_state(error: BaseException) -> bool:
    """Whether trying again later may help: the server is away, the disk is full, a lock is held too long."""
    if (code := _sqlite_code(error)) is not None:
        return code in SQLITE_STATES
    state = sqlstate(error)
    is_of_class = state[:2] in POSTGRES_STATE_CLASSES and state != PROTOCOL_VIOLATION
    return is_of_class or state in POSTGRES_STATES or is_lost(error)


def is_lost(error: BaseException) -> bool:
    """Whether there is no connection, or none any more: the error did not come from the server, or was its last."""
    diagnostics = getattr(error.__cause__, "diag", None)
    if sqlstate(error):
        # PgBouncer, and it alone, tells the severity in one form only.
        return diagnostics is not None and (diagnostics.severity_nonlocalized or diagnostics.severity) in LAST_WORDS
    return isinstance(error, OperationalError | InterfaceError)


def sqlstate(error: BaseException) -> str:
    """The code of an error that PostgreSQL sent, else ""."""
    return getattr(error.__cause__, "sqlstate", None) or ""


def stays_with_connection(error: BaseException) -> bool:
    """Whether SQLite must open the file anew: one that could only be read when it was opened stays read-only."""
    return _sqlite_code(error) in SQLITE_STATES - SQLITE_PASSING_STATES


def is_damage(error: BaseException) -> bool:
    """Whether SQLite has met a damaged page: it commits no transaction in which that has happened."""
    return _sqlite_code(error) == sqlite3.SQLITE_CORRUPT


def _sqlite_code(error: BaseException | None) -> int | None:
    """SQLite's primary result code, if that is what the error comes from."""
    while error is not None and not isinstance(error, sqlite3.Error):
        error = error.__cause__
    if error is None:
        return None
    return sqlite3.SQLITE_CORRUPT if _is_damaged_text(error) else getattr(error, "sqlite_errorcode", 0) & 0xFF


def _is_damaged_text(error: BaseException) -> bool:
    """Whether a text was not what was written: SQLite itself does not look into the pages of a long one."""
    return any(sign in str(error) for sign in SIGNS_OF_DAMAGED_TEXT)
