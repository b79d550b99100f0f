"""REDIS_URL: one server, the master of a Sentinel service, or a cluster; checked before anything connects.

    redis://[[user]:password@]host[:port][/db][?option=value&...]            also unix://[[user]:password@]/path
    redis+sentinel://[[user]:password@]host[:port],.../service[/db][?...]    the hosts are the sentinels
    redis+cluster://[[user]:password@]host[:port],...[?...]                  the hosts are some of the nodes

`rediss` in place of `redis` is TLS, in all three. The options are those of redis-py's connections, such as
`ssl_ca_certs=/path`. User and password are Redis' own; what the sentinels want is `sentinel_username=` and
`sentinel_password=`. Special characters are percent-encoded.

Settings read this module, so it stands apart from the client, and imports redis-py only when there is a URL.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

type Node = tuple[str, int]
type Kind = Literal["server", "sentinel", "cluster"]

DEFAULT_PORTS: Mapping[Kind, int] = {"server": 6379, "sentinel": 26379, "cluster": 6379}
KINDS: Mapping[str, Kind] = {"": "server", "sentinel": "sentinel", "cluster": "cluster"}
# Options of redis-py's pool and of its client: there is no pool here, and replies stay bytes.
NOT_FOR_CONNECTIONS = ("max_connections", "timeout", "decode_responses")
NOT_FOR_SENTINELS = ("db", "username", "password", "client_name")
FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
# A hash tag: all of Django's keys in one slot of a cluster.
DJANGO_KEY_PREFIX = "{django}"

_URL = re.compile(r"(redis|rediss|unix)(?:\+(sentinel|cluster))?://(?:([^/?#]*)@)?([^/?#]*)(/[^?#]*)?(?:\?([^#]*))?")
_SENTINEL_PATH = re.compile(r"/([^/]+)(?:/([0-9]*))?")


class Address(NamedTuple):
    """What a URL says: where to ask or connect, and the arguments of redis-py's connections."""

    kind: Kind
    nodes: tuple[Node, ...]
    service: str
    is_tls: bool
    connection_class: "type[AbstractConnection]"
    options: Mapping[str, Any]
    sentinel_options: Mapping[str, Any]

    def connection(self, node: Node | None = None) -> "AbstractConnection":
        """redis-py's connection, not connected yet, to the node or to what the URL names. It does TLS and AUTH."""
        return self.connection_class(**self.options, **_place(node))

    def sentinel_connection(self, sentinel: Node) -> "AbstractConnection":
        """The same to a sentinel."""
        return self.connection_class(**self.sentinel_options, **_place(sentinel))


def _place(node: Node | None) -> dict[str, Any]:
    return {"host": node[0], "port": node[1]} if node else {}


def check_url(url: str) -> str:
    """Returns the URL if it can be used; an empty one means that there is no Redis.

    Raises ValueError with a message that does not repeat the URL: it may hold a password.
    """
    if url:
        parse_url(url)
    return url


def django_cache(url: str) -> dict[str, Any]:
    """What Django's CACHES holds for the URL: django-redis, counted, with the pools of core/redis/django_pools.py."""
    return {
        "BACKEND": "django_prometheus.cache.backends.redis.RedisCache",
        # In a list: a text would be split at its commas.
        "LOCATION": [url],
        "KEY_PREFIX": DJANGO_KEY_PREFIX,
        "OPTIONS": {
            # Not pickle: whoever can write into Redis must not be able to run code here.
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
            "CONNECTION_POOL_CLASS": "core.redis.django_pools.PoolByURL",
            # Without time-outs a Redis that hangs would hang the admin; without the flag its loss would break it.
            "SOCKET_CONNECT_TIMEOUT": 0.25,
            "SOCKET_TIMEOUT": 0.25,
            "IGNORE_EXCEPTIONS": True,
        },
    }


def parse_url(url: str) -> Address:
    """What the URL says. Raises ValueError as `check_url` does."""
    found = _URL.fullmatch(url)
    if not found or (found[1] == "unix" and (found[2] or found[4])):
        raise ValueError(
            "must start with redis://, rediss:// or unix://, redis+sentinel:// or redis+cluster://; "
            "special characters in a password must be percent-encoded"
        )
    transport, kind, user, hosts, path, query = found[1], KINDS[found[2] or ""], found[3], found[4], found[5], found[6]
    nodes = _parse_hosts(hosts, kind)
    service, database = _parse_path(transport, kind, path or "")
    # What is left is a URL as redis-py knows them.
    plain = f"{transport}://{user + '@' if user else ''}{database}?{query or ''}"
    options = _parse_options(plain, query or "")
    for_sentinels = {}
    if kind == "sentinel":
        for_sentinels = {name: options.pop(f"sentinel_{name}", None) for name in ("username", "password")}
    if kind == "cluster" and options.get("db"):
        raise ValueError("must not choose a database: a cluster has only number 0")
    from redis.asyncio.connection import Connection

    address = Address(
        kind=kind,
        nodes=nodes,
        service=service,
        is_tls=transport == "rediss",
        connection_class=options.pop("connection_class", Connection),
        options={**options, **(_place(nodes[0]) if kind == "server" and nodes else {})},
        sentinel_options={
            **{name: value for name, value in options.items() if name not in NOT_FOR_SENTINELS},
            **for_sentinels,
        },
    )
    _check_connection(address)
    return address


def _parse_hosts(text: str, kind: Kind) -> tuple[Node, ...]:
    try:
        parts = [urlsplit(f"//{one}") for one in text.split(",") if one or kind != "server"]
        nodes = tuple((unquote(one.hostname or ""), one.port or DEFAULT_PORTS[kind]) for one in parts)
    except ValueError:
        nodes = (("", 0),)
    if not all(host for host, _ in nodes) or (kind == "server" and len(nodes) > 1):
        raise ValueError(
            "is not a URL: its host or port cannot be read (special characters in a password must be percent-encoded)"
        )
    return nodes


def _parse_path(transport: str, kind: Kind, path: str) -> tuple[str, str]:
    """The name of Sentinel's service, and the path that redis-py takes for the database or the socket."""
    if transport == "unix":
        if not path:
            raise ValueError("must name the socket's path, as in unix:///run/redis.sock")
        return "", path
    if kind == "sentinel":
        if not (found := _SENTINEL_PATH.fullmatch(path)):
            raise ValueError("must end in Sentinel's name of the master, as in redis+sentinel://host:26379/mymaster/0")
        return unquote(found[1]), f"/{found[2] or ''}"
    if path.strip("/") and not path.strip("/").isdecimal():
        raise ValueError("must end in the number of a database, as in redis://localhost:6379/0")
    return "", path


def _parse_options(plain: str, query: str) -> dict[str, Any]:
    from redis.asyncio.connection import parse_url as parse
    from redis.exceptions import RedisError

    try:
        if query:
            parse_qsl(query, keep_blank_values=True, strict_parsing=True)
        options: dict[str, Any] = {"protocol": 2, **parse(plain)}
    except (ValueError, RedisError):
        raise _unknown_option() from None
    for name in NOT_FOR_CONNECTIONS:
        options.pop(name, None)
    for name in FILES:
        if name in options and not Path(options[name]).is_file():
            raise ValueError(f"names a file in {name} that is not there")
    return options


def _check_connection(address: Address) -> None:
    from redis.exceptions import RedisError

    try:
        address.connection()
        if address.kind == "sentinel":
            address.sentinel_connection(address.nodes[0])
    except (TypeError, ValueError, RedisError):
        raise _unknown_option() from None


def _unknown_option() -> ValueError:
    return ValueError("has an option after the ? that redis-py does not know or cannot use")
