"""REDIS_URL: one server, the master of a Sentinel service, or a cluster. Checked before anything connects.

    redis://[[user]:password@]host[:port][/db][?option=value&...]            also unix://[[user]:password@]/path
    redis+sentinel://[[user]:password@]host[:port],.../service[/db][?...]    the hosts are the sentinels
    redis+cluster://[[user]:password@]host[:port],...[?...]                  the hosts are some of the nodes

`rediss` instead of `redis` means TLS. The options are those of redis-py's connections, and `sentinel_username` and
`sentinel_password`.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.asyncio.connection import AbstractConnection, Connection
from redis.asyncio.connection import parse_url as parse_redis_url
from redis.exceptions import RedisError

type Node = tuple[str, int]
type Kind = Literal["server", "sentinel", "cluster"]

DEFAULT_PORTS: Mapping[Kind, int] = {"server": 6379, "sentinel": 26379, "cluster": 6379}
KINDS: Mapping[str, Kind] = {"": "server", "sentinel": "sentinel", "cluster": "cluster"}
# redis-py's options for pools and clients: this client has no pool, and replies stay bytes.
NOT_FOR_CONNECTIONS = ("max_connections", "timeout", "decode_responses")
NOT_FOR_SENTINELS = ("db", "username", "password", "client_name")
FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
# A hash tag puts all of Django's keys into one slot of a cluster.
DJANGO_KEY_PREFIX = "{django}"
UNKNOWN_OPTION = "has an option after the ? that redis-py does not know or cannot use"

_URL = re.compile(
    r"(?P<transport>redis|rediss|unix)(?:\+(?P<kind>sentinel|cluster))?://"
    r"(?:(?P<user>[^/?#]*)@)?(?P<hosts>[^/?#]*)(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?"
)
_SENTINEL_PATH = re.compile(r"/(?P<service>[^/]+)(?:/(?P<database>[0-9]*))?")


class Address(NamedTuple):
    """A parsed URL: the servers, and the arguments of redis-py's connections."""

    kind: Kind
    nodes: tuple[Node, ...]
    service: str
    is_tls: bool
    connection_class: type[AbstractConnection]
    options: Mapping[str, Any]
    sentinel_options: Mapping[str, Any]

    def connection(self, node: Node | None = None) -> AbstractConnection:
        """Return redis-py's connection, not yet connected, to the node or to the URL's server."""
        return self.connection_class(**self.options, **_host_and_port(node))

    def sentinel_connection(self, sentinel: Node) -> AbstractConnection:
        return self.connection_class(**self.sentinel_options, **_host_and_port(sentinel))


def _host_and_port(node: Node | None) -> dict[str, Any]:
    if node is None:
        return {}
    host, port = node
    return {"host": host, "port": port}


def check_url(url: str) -> str:
    """Return the URL if it is valid; an empty URL means that there is no Redis.

    Raises ValueError. Its message never repeats the URL, which may contain a password.
    """
    if url:
        parse_url(url)
    return url


def django_cache(url: str) -> dict[str, Any]:
    """Return the CACHES entry for the URL: django-redis with metrics and the pools of core/redis/django_pools.py."""
    return {
        "BACKEND": "django_prometheus.cache.backends.redis.RedisCache",
        # A list, because Django splits a string at commas.
        "LOCATION": [url],
        "KEY_PREFIX": DJANGO_KEY_PREFIX,
        "OPTIONS": {
            # Not pickle: write access to Redis must not allow code execution here.
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
            "CONNECTION_POOL_CLASS": "core.redis.django_pools.PoolByURL",
            # The admin must neither hang nor break during an outage of Redis.
            "SOCKET_CONNECT_TIMEOUT": 0.25,
            "SOCKET_TIMEOUT": 0.25,
            "IGNORE_EXCEPTIONS": True,
        },
    }


def parse_url(url: str) -> Address:
    """Parse the URL. Raises ValueError like `check_url`."""
    found = _URL.fullmatch(url)
    if not found or (found["transport"] == "unix" and (found["kind"] or found["hosts"])):
        raise ValueError(
            "must start with redis://, rediss:// or unix://, redis+sentinel:// or redis+cluster://; "
            "special characters in a password must be percent-encoded"
        )
    transport, user, hosts, path, query = found.group("transport", "user", "hosts", "path", "query")
    kind = KINDS[found["kind"] or ""]
    nodes = _parse_hosts(hosts, kind)
    service, database = _parse_path(transport, kind, path or "")
    # The rest is a URL in redis-py's format.
    plain = f"{transport}://{user + '@' if user else ''}{database}?{query or ''}"
    options = _parse_options(plain, query or "")
    for_sentinels = {}
    if kind == "sentinel":
        for_sentinels = {name: options.pop(f"sentinel_{name}", None) for name in ("username", "password")}
    if kind == "cluster" and options.get("db"):
        raise ValueError("must not choose a database: a cluster has only number 0")
    address = Address(
        kind=kind,
        nodes=nodes,
        service=service,
        is_tls=transport == "rediss",
        connection_class=options.pop("connection_class", Connection),
        options={**options, **(_host_and_port(nodes[0]) if kind == "server" and nodes else {})},
        sentinel_options={
            **{name: value for name, value in options.items() if name not in NOT_FOR_SENTINELS},
            **for_sentinels,
        },
    )
    _check_connection(address)
    return address


def _parse_hosts(text: str, kind: Kind) -> tuple[Node, ...]:
    try:
        parts = [urlsplit(f"//{host}") for host in text.split(",") if host or kind != "server"]
        nodes = tuple((unquote(part.hostname or ""), part.port or DEFAULT_PORTS[kind]) for part in parts)
    except ValueError:
        nodes = (("", 0),)
    if not all(host for host, _ in nodes) or (kind == "server" and len(nodes) > 1):
        raise ValueError(
            "is not a URL: its host or port cannot be read (special characters in a password must be percent-encoded)"
        )
    return nodes


def _parse_path(transport: str, kind: Kind, path: str) -> tuple[str, str]:
    # The Sentinel service, and redis-py's path for the database or the socket.
    if transport == "unix":
        if not path:
            raise ValueError("must name the socket's path, as in unix:///run/redis.sock")
        return "", path
    if kind == "sentinel":
        if not (found := _SENTINEL_PATH.fullmatch(path)):
            raise ValueError("must end in Sentinel's name of the master, as in redis+sentinel://host:26379/mymaster/0")
        return unquote(found["service"]), f"/{found['database'] or ''}"
    if path.strip("/") and not path.strip("/").isdecimal():
        raise ValueError("must end in the number of a database, as in redis://localhost:6379/0")
    return "", path


def _parse_options(plain: str, query: str) -> dict[str, Any]:
    try:
        if query:
            parse_qsl(query, keep_blank_values=True, strict_parsing=True)
        options: dict[str, Any] = {"protocol": 2, **parse_redis_url(plain)}
    except (ValueError, RedisError):
        raise ValueError(UNKNOWN_OPTION) from None
    for name in NOT_FOR_CONNECTIONS:
        options.pop(name, None)
    for name in FILES:
        if name in options and not Path(options[name]).is_file():
            raise ValueError(f"names a file in {name} that does not exist")
    return options


def _check_connection(address: Address) -> None:
    try:
        address.connection()
        if address.kind == "sentinel":
            address.sentinel_connection(address.nodes[0])
    except (TypeError, ValueError, RedisError):
        raise ValueError(UNKNOWN_OPTION) from None
