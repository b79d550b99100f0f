"""Which database errors mean that the database is unavailable (503, retry) and which are bugs (500)."""

import logging
import sqlite3

from django.db import Error, InterfaceError, OperationalError

from core.http.problems import ServiceUnavailable

# Primary result codes: https://www.sqlite.org/rescode.html
SQLITE_UNAVAILABLE = {
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
# After these errors the connection is still good.
SQLITE_TRANSIENT = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL}

# SQLSTATE codes of PostgreSQL: https://www.postgresql.org/docs/current/errcodes-appendix.html
READ_ONLY = "25006"  # a standby, or the old primary after a failover
# Serialization failure and deadlock: the server rolled back, and a retry can succeed.
CONFLICTS = {"40001", "40P01"}
# The prepared statement no longer fits the schema, or no longer exists: a new session fixes both.
STALE_SESSION = {"0A000", "26000"}
POSTGRES_UNAVAILABLE = {
    READ_ONLY,
    *CONFLICTS,
    "25P03",  # idle_in_transaction_session_timeout: this process was suspended during a transaction
    "3D000",  # the database does not exist (yet)
    "55P03",  # lock_timeout
    "57014",  # statement_timeout
    "XX001",  # corrupted data
    "XX002",  # corrupted index
}
# Whole classes: connection, authentication, resources (disk, memory, connections), operator intervention, I/O.
POSTGRES_UNAVAILABLE_CLASSES = {"08", "28", "53", "57", "58"}
PROTOCOL_VIOLATION = "08P01"  # a bug of this service, although its class is "connection"
FATAL_SEVERITIES = {"FATAL", "PANIC"}
UNDEFINED = {"42P01", "42703"}  # no such table, no such column
# Logged in place of an error that quotes the text.
CORRUPT_TEXT = "database disk image is malformed: a text is not UTF-8"
# The first comes from reading a row, the second from folding a text for a search.
CORRUPT_TEXT_MESSAGES = ("Could not decode to UTF-8", "user-defined function raised exception")

logger = logging.getLogger("agent_router.database")


def unavailable(error: BaseException) -> BaseException:
    """Return ServiceUnavailable if the error means that the database is unavailable, otherwise the error itself."""
    if not is_unavailability(error):
        return error
    # Without a traceback: in an outage, every request would log a page.
    logger.warning("The database cannot serve: %s", CORRUPT_TEXT if _is_corrupt_text(error) else str(error).strip())
    problem = ServiceUnavailable("The database is out of reach or busy")
    problem.__cause__ = error
    return problem


def is_unavailability(error: BaseException) -> bool:
    """Whether a retry may help later: the server is down, the disk is full, a lock is held too long."""
    if (code := _sqlite_code(error)) is not None:
        return code in SQLITE_UNAVAILABLE
    state = sqlstate(error)
    is_of_class = state[:2] in POSTGRES_UNAVAILABLE_CLASSES and state != PROTOCOL_VIOLATION
    return is_of_class or state in POSTGRES_UNAVAILABLE or is_lost(error)


def is_lost(error: BaseException) -> bool:
    """Whether the connection is lost: the error did not come from the server, or the server closes the connection."""
    if not sqlstate(error):
        return isinstance(error, OperationalError | InterfaceError)
    diagnostics = getattr(error.__cause__, "diag", None)
    # PgBouncer sends the severity in the localized field only.
    return diagnostics is not None and (diagnostics.severity_nonlocalized or diagnostics.severity) in FATAL_SEVERITIES


def sqlstate(error: BaseException) -> str:
    """Return the SQLSTATE of an error that PostgreSQL sent, otherwise an empty string."""
    return getattr(error.__cause__, "sqlstate", None) or ""


def requires_reconnect(error: BaseException) -> bool:
    """Whether SQLite must reopen the file: a file that was opened read-only stays read-only."""
    return _sqlite_code(error) in SQLITE_UNAVAILABLE - SQLITE_TRANSIENT


def is_corruption(error: BaseException) -> bool:
    """Whether SQLite met a corrupt page. SQLite does not commit a transaction in which that happened."""
    return _sqlite_code(error) == sqlite3.SQLITE_CORRUPT


def operator_advice(error: Error) -> str | None:
    """Explain a database error on the command line, instead of a traceback. None for a bug."""
    message = str(error).strip()
    if sqlstate(error) in UNDEFINED or message.startswith(("no such table", "no such column")):
        return f"The database is not up to date ({message.splitlines()[0]}): run python manage.py migrate"
    if is_unavailability(error):
        return f"The database that DB_DSN names can't be used: {message}"
    return None


def _sqlite_code(error: BaseException | None) -> int | None:
    while error is not None and not isinstance(error, sqlite3.Error):
        error = error.__cause__
    if error is None:
        return None
    return sqlite3.SQLITE_CORRUPT if _is_corrupt_text(error) else getattr(error, "sqlite_errorcode", 0) & 0xFF


def _is_corrupt_text(error: BaseException) -> bool:
    # SQLite itself does not check the pages of long texts.
    return any(message in str(error) for message in CORRUPT_TEXT_MESSAGES)
