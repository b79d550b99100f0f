"""Parse `DB_DSN`, the URL of the database, into Django's settings. SQLAlchemy's forms are accepted too."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import make_conninfo

from core.database.postgresql import options as postgres_options
from core.database.sqlite import options as sqlite_options

SQLITE_SCHEMES = ("sqlite", "sqlite+aiosqlite", "sqlite3")
POSTGRES_SCHEMES = ("postgresql", "postgres", "postgresql+asyncpg", "postgresql+psycopg")


def parse_dsn(dsn: str, base_dir: Path, *, is_behind_pgbouncer: bool = False) -> dict[str, Any]:
    """Return the DATABASES entry for a DSN. A relative SQLite path is relative to `base_dir`.

    `sqlite:///relative.db`, `sqlite:////absolute.db`, `postgresql://user:password@host:port/name?option=value`.
    Raises ValueError. Its message never repeats the DSN, which may contain a password.
    """
    try:
        parts = urlsplit(dsn)
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme in SQLITE_SCHEMES:
        return _sqlite(parts.netloc, parts.path, base_dir)
    if parts.scheme in POSTGRES_SCHEMES:
        return _postgres(parts.netloc, parts.path, parts.query, is_behind_pgbouncer)
    raise ValueError("must start with sqlite:/// or postgresql://")


def parse_replica_dsns(dsns: str, base_dir: Path, *, is_behind_pgbouncer: bool = False) -> list[dict[str, Any]]:
    """Return the DATABASES entries for PostgreSQL DSNs separated by commas. Raises ValueError like `parse_dsn`."""
    # A DSN may contain commas between hosts.
    split = [dsn.strip(" ,") for dsn in re.split(r",(?=\s*\w+(?:\+\w+)?://)", dsns)]
    entries = [parse_dsn(dsn, base_dir, is_behind_pgbouncer=is_behind_pgbouncer) for dsn in split if dsn]
    if any("PORT" not in entry for entry in entries):
        raise ValueError("must start with postgresql://, each of them: SQLite has no replicas")
    return entries


def _sqlite(host: str, path: str, base_dir: Path) -> dict[str, Any]:
    name = unquote(path.removeprefix("/"))
    if host or not name or name == ":memory:":
        raise ValueError("must name a file, as in sqlite:///./data/app.db (relative) or sqlite:////var/lib/app.db")
    file = (base_dir / name).resolve()
    if not file.parent.is_dir():
        raise ValueError(f"the folder {file.parent} does not exist: make it with mkdir -p")
    if file.is_dir():
        raise ValueError(f"{file} is a folder: name a file in it")
    return {
        "ENGINE": "core.database.backends.sqlite3",
        "NAME": str(file),
        "CONN_MAX_AGE": None,
        "OPTIONS": sqlite_options.connection_options(),
    }


def _postgres(netloc: str, path: str, query: str, is_behind_pgbouncer: bool) -> dict[str, Any]:
    name = unquote(path.removeprefix("/"))
    if not name or "/" in name:
        raise ValueError("must name a database, as in postgresql://user:password@host:5432/name")
    user, _, password = netloc.rpartition("@")[0].partition(":")
    hosts, ports = _hosts(netloc.rpartition("@")[2])
    return {
        "ENGINE": "core.database.backends.postgresql",
        "NAME": name,
        "USER": unquote(user),
        "PASSWORD": unquote(password),
        "HOST": hosts,
        "PORT": ports,
        # Each thread of the pool (core/database/pool.py) keeps its connection.
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        # Server-side cursors outlive a transaction, but PgBouncer may give each transaction another session.
        "DISABLE_SERVER_SIDE_CURSORS": is_behind_pgbouncer,
        "OPTIONS": postgres_options.connection_options(_options(query), is_behind_pgbouncer=is_behind_pgbouncer),
    }


def _hosts(text: str) -> tuple[str, str]:
    hosts, ports = [], []
    for address in text.split(","):
        host, colon, port = address.rpartition(":") if not address.endswith("]") else (address, "", "")
        if not colon:
            host, port = address, ""
        if port and not (port.isdecimal() and 0 < int(port) < 65536):
            raise ValueError("must have a number from 1 to 65535 as its port")
        hosts.append(unquote(host.strip("[]")))
        ports.append(port)
    return ",".join(hosts), ",".join(ports) if any(ports) else ""


def _options(query: str) -> dict[str, str]:
    # asyncpg's name for `sslmode` is `ssl`.
    options = {"sslmode" if name == "ssl" else name: value for name, value in parse_qsl(query)}
    for name, value in options.items():
        try:
            make_conninfo("", **{name: value})
        except ProgrammingError:
            raise ValueError(f"has an option that PostgreSQL's client does not know: {name}") from None
    return options
