"""`DB_DSN`: one URL for the database, in Django's terms. SQLAlchemy's forms are understood too."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from core.database.sqlite.options import connection_options

SQLITE_SCHEMES = ("sqlite", "sqlite+aiosqlite", "sqlite3")
POSTGRES_SCHEMES = ("postgresql", "postgres", "postgresql+asyncpg", "postgresql+psycopg")


def parse_dsn(dsn: str, base_dir: Path, *, is_behind_pgbouncer: bool = False) -> dict[str, Any]:
    """Django's DATABASES entry for a DSN. A relative SQLite path is relative to `base_dir`.

    `sqlite:///relative.db`, `sqlite:////absolute.db`, `postgresql://user:password@host:port/name?option=value`.
    Raises ValueError, which never repeats the DSN: it may hold a password.
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
    """DATABASES entries for DSNs of PostgreSQL, separated by commas. Raises ValueError like `parse_dsn`."""
    # A DSN may hold commas itself: between hosts.
    each = [one.strip(" ,") for one in re.split(r",(?=\s*\w+(?:\+\w+)?://)", dsns) if one.strip(" ,")]
    entries = [parse_dsn(one, base_dir, is_behind_pgbouncer=is_behind_pgbouncer) for one in each]
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
        "OPTIONS": connection_options(),
    }


def _postgres(netloc: str, path: str, query: str, is_behind_pgbouncer: bool) -> dict[str, Any]:
    from core.database.postgresql import options as postgres_options

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
        # Connections belong to the fixed pool of threads (core/database/pool.py) and live as long as it does.
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        # A cursor in the server outlives its transaction, and PgBouncer gives each transaction another connection.
        "DISABLE_SERVER_SIDE_CURSORS": is_behind_pgbouncer,
        "OPTIONS": postgres_options.connection_options(_options(query), is_behind_pgbouncer=is_behind_pgbouncer),
    }


def _hosts(text: str) -> tuple[str, str]:
    """Hosts and ports as libpq takes them: several, separated by commas, are tried in turn."""
    hosts, ports = [], []
    for one in text.split(","):
        host, colon, port = one.rpartition(":") if not one.endswith("]") else (one, "", "")
        if not colon:
            host, port = one, ""
        if port and not (port.isdecimal() and 0 < int(port) < 65536):
            raise ValueError("must have a number from 1 to 65535 as its port")
        hosts.append(unquote(host.strip("[]")))
        ports.append(port)
    return ",".join(hosts), ",".join(ports) if any(ports) else ""


def _options(query: str) -> dict[str, str]:
    from psycopg import ProgrammingError
    from psycopg.conninfo import make_conninfo

    # asyncpg, which the service's forerunner used, calls it `ssl`.
    options = {"sslmode" if name == "ssl" else name: value for name, value in parse_qsl(query)}
    for name, value in options.items():
        try:
            make_conninfo("", **{name: value})
        except ProgrammingError:
            raise ValueError(f"has an option that PostgreSQL's client does not know: {name}") from None
    return options
