"""Which database errors mean 503 and which are bugs."""

import sqlite3
from types import SimpleNamespace

import psycopg
import pytest
from django.db import DataError, IntegrityError, InterfaceError, OperationalError, ProgrammingError

from core.database.failures import is_lost, is_unavailability, requires_reconnect, unavailable
from core.http.problems import NotFound, ServiceUnavailable


def from_sqlite(code: int) -> OperationalError:
    error, cause = OperationalError("raised by Django"), sqlite3.OperationalError("raised by SQLite")
    cause.sqlite_errorcode = code
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("code", "is_passing"),
    [
        (sqlite3.SQLITE_BUSY, True),
        (sqlite3.SQLITE_BUSY_TIMEOUT, True),
        (sqlite3.SQLITE_LOCKED_SHAREDCACHE, True),
        (sqlite3.SQLITE_FULL, True),
        (sqlite3.SQLITE_READONLY_DBMOVED, False),
        (sqlite3.SQLITE_IOERR_FSYNC, False),
        (sqlite3.SQLITE_CANTOPEN_ISDIR, False),
        (sqlite3.SQLITE_CORRUPT, False),
        (sqlite3.SQLITE_NOTADB, False),
    ],
)
def test_sqlite_code_decides_between_503_and_500(code: int, is_passing: bool, caplog: pytest.LogCaptureFixture) -> None:
    error = from_sqlite(code)
    assert is_unavailability(error)
    assert requires_reconnect(error) is not is_passing
    problem = unavailable(error)
    assert isinstance(problem, ServiceUnavailable)
    assert problem.__cause__ is error
    assert requires_reconnect(problem) is not is_passing
    assert "raised by" not in problem.detail
    assert "raised by Django" in caplog.text


def test_bugs_are_not_translated() -> None:
    broken_sql = from_sqlite(sqlite3.SQLITE_ERROR)
    for error in (
        broken_sql,
        IntegrityError(),
        ProgrammingError(),
        DataError(),
        ValueError(),
        NotFound(),
        SystemExit(),
    ):
        assert not is_unavailability(error)
        assert not requires_reconnect(error)
        assert unavailable(error) is error


def test_lost_postgresql_is_unavailability() -> None:
    error = OperationalError("connection refused")
    error.__cause__ = psycopg.OperationalError("connection refused")
    assert is_unavailability(error)
    assert is_unavailability(InterfaceError("connection already closed"))
    assert not requires_reconnect(error)


class FromPgBouncer(psycopg.errors.ProtocolViolation):
    """PgBouncer's error for a lost server: the code of a client's bug, without the non-localized severity."""

    diag = SimpleNamespace(severity="FATAL", severity_nonlocalized=None)  # type: ignore[assignment]


def test_server_lost_by_pgbouncer_is_unavailability() -> None:
    error = OperationalError("server login has been failing, try again later (server_login_retry)")
    error.__cause__ = FromPgBouncer()
    assert is_unavailability(error)
    assert is_lost(error)
