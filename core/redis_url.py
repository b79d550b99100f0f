"""REDIS_URL: what redis-py understands, checked before anything connects.

Settings read this module, so it stands apart from the client, and imports redis-py only when there is a URL.
"""

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

SCHEMES = ("redis", "rediss", "unix")
# Options of redis-py's pool and of its client: there is no pool here, and replies stay bytes.
NOT_FOR_CONNECTIONS = ("max_connections", "timeout", "decode_responses")


def check_url(url: str) -> str:
    """Returns the URL if a connection can be made from it; an empty one means that there is no Redis.

    Raises ValueError with a message that does not repeat the URL: it may hold a password.
    """
    if url:
        make_connection(url)
    return url


def make_connection(url: str) -> "AbstractConnection":
    """redis-py's connection for the URL, not connected yet. It knows TLS, AUTH, SELECT and Unix sockets."""
    scheme, path = _split(url)
    if scheme not in SCHEMES:
        raise ValueError("must start with redis://, rediss:// or unix://")
    if scheme == "unix" and not path:
        raise ValueError("must name the socket's path, as in unix:///run/redis.sock")
    if scheme != "unix" and path.strip("/") and not path.strip("/").isdecimal():
        raise ValueError("must end in the number of a database, as in redis://localhost:6379/0")
    from redis.asyncio.connection import Connection, parse_url
    from redis.exceptions import RedisError

    try:
        options: dict[str, Any] = {"protocol": 2, **parse_url(url)}
        for name in NOT_FOR_CONNECTIONS:
            options.pop(name, None)
        kind: type[AbstractConnection] = options.pop("connection_class", Connection)
        return kind(**options)
    except (TypeError, ValueError, RedisError):
        raise ValueError("has an option after the ? that redis-py does not know or cannot use") from None


def _split(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("is not a URL: its host or port cannot be read") from None
    return parts.scheme, parts.path
