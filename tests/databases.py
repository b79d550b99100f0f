"""The database of the tests: SQLite, or PostgreSQL with TEST_DATABASE=postgres.

Each test process then starts its own PostgreSQL. TEST_DB_DSN names an existing server to use instead. The process
creates databases there and drops them at its end.
"""

import atexit
import os
import secrets
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, LiteralString
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from tests.postgres_server import MISSING, PostgresServer, binary_folder

IS_POSTGRES = os.environ.get("TEST_DATABASE", "postgres" if os.environ.get("TEST_DB_DSN") else "sqlite") == "postgres"


def new_dsn(folder: Path) -> str:
    """Create an empty database and return its DB_DSN. A SQLite file is created in the folder."""
    return _make_database()() if IS_POSTGRES else f"sqlite:///{folder / 'app.db'}"


@cache
def _make_database() -> Callable[[], str]:
    if given := os.environ.get("TEST_DB_DSN"):
        return lambda: _database_at(given)
    if binary_folder() is None:
        # Skipping would claim that the tests passed on PostgreSQL.
        raise RuntimeError(MISSING)
    server = PostgresServer()
    atexit.register(server.__exit__)
    return server.__enter__().create_database


def _database_at(dsn: str) -> str:
    name = f"test_{secrets.token_hex(6)}"
    _execute(dsn, "CREATE DATABASE {}", name)
    atexit.register(_execute, dsn, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)
    return urlsplit(dsn)._replace(path=f"/{name}").geturl()


def _execute(dsn: str, statement: LiteralString, name: str) -> None:
    with closing(psycopg.connect(dsn, autocommit=True)) as connection:
        connection.execute(sql.SQL(statement).format(sql.Identifier(name)))


def query(dsn: str, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Execute a statement and return its rows, if any. Parameters are `?` on both databases.

    PostgreSQL returns UUIDs, times and booleans where SQLite returns text or numbers.
    """
    if dsn.startswith("sqlite"):
        path = dsn.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, timeout=10, autocommit=True)) as connection:
            return connection.execute(statement, parameters).fetchall()
    with closing(psycopg.connect(dsn, autocommit=True)) as server:
        cursor = server.execute(statement.replace("?", "%s").encode(), parameters or None)
        return cursor.fetchall() if cursor.description else []


def everything_in(dsn: str) -> bytes:
    """Return everything that a database stores, to search it for secrets."""
    if dsn.startswith("sqlite"):
        file = Path(dsn.removeprefix("sqlite:///"))
        return b"".join(path.read_bytes() for path in file.parent.glob(f"{file.name}*"))
    tables = query(dsn, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return "\n".join(str(row) for [name] in tables for row in query(dsn, f'SELECT t::text FROM "{name}" t')).encode()
