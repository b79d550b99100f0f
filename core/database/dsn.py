"""`DB_DSN`: one URL for the database, in Django's terms. SQLAlchemy's forms are understood too."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from core.database.sqlite import connection_options

SQLITE_SCHEMES = ("sqlite", "sqlite+aiosqlite", "sqlite3")
POSTGRES_SCHEMES = ("postgresql", "postgres", "postgresql+asyncpg", "postgresql+psycopg")


def parse_dsn(dsn: str, base_dir: Path) -> dict[str, Any]:
    """Django's DATABASES entry for a DSN. A relative SQLite path is relative to `base_dir`.

    `sqlite:///relative.db`, `sqlite:////absolute.db`, `postgresql://user:password@host:port/name?option=value`.
    Raises ValueError, which never repeats the DSN: it may hold a password.
    """
    try:
        parts = urlsplit(dsn)
        port = parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme in SQLITE_SCHEMES:
        return _sqlite(parts.netloc, parts.path, base_dir)
    if parts.scheme not in POSTGRES_SCHEMES:
        raise ValueError("must start with sqlite:/// or postgresql://")
    name = unquote(parts.path.removeprefix("/"))
    if not name or "/" in name:
        raise ValueError("must name a database, as in postgresql://user:password@host:5432/name")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": str(port or ""),
        # Connections belong to the fixed pool of threads (core/database/pool.py) and live as long as it does.
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"connect_timeout": "5", "application_name": "agent-router", **dict(parse_qsl(parts.query))},
    }


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
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(file),
        "CONN_MAX_AGE": None,
        "OPTIONS": connection_options(),
    }
