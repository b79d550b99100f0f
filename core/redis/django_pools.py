"""Connection pools of django-redis, for Django's cache: they accept the same REDIS_URL as the hot path.

redis-py has no URL for Sentinel, and django-redis cannot use its cluster client. So each connection looks up its server
before it connects: Sentinel's master, or the cluster node with the one slot of all of Django's keys.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from redis import exceptions
from redis.connection import Connection, ConnectionPool, SSLConnection
from redis.crc import key_slot

from core.redis.slots import read_owners
from core.redis.url import DJANGO_KEY_PREFIX, Address, Node, parse_url


class PoolByURL:
    """The CONNECTION_POOL_CLASS of django-redis, which calls only `from_url`."""

    @staticmethod
    def from_url(url: str, **options: Any) -> ConnectionPool:
        """Return a pool for any form of REDIS_URL. Options in the URL take precedence."""
        address = parse_url(url)
        if address.kind == "server":
            return ConnectionPool.from_url(url, **options)
        find = partial(_find_master if address.kind == "sentinel" else _find_node, address, options)
        connection_class = _LocatingSSLConnection if address.is_tls else _LocatingConnection
        return ConnectionPool(connection_class=connection_class, find=find, **{**options, **address.options})


class _LocatingConnection(Connection):
    """Looks up its server before each connect."""

    def __init__(self, *, find: Callable[[], Node], **options: Any) -> None:
        self._find = find
        super().__init__(**options)  # type: ignore[no-untyped-call]

    def _connect(self) -> Any:
        self.host, self.port = self._find()
        return super()._connect()  # type: ignore[no-untyped-call]

    def read_response(self, *args: Any, **options: Any) -> Any:
        """Treat an error from a server that is no longer the right one as a lost connection."""
        try:
            return super().read_response(*args, **options)
        except (exceptions.ReadOnlyError, exceptions.MovedError, exceptions.AskError) as error:
            self.disconnect()  # type: ignore[no-untyped-call]
            raise exceptions.ConnectionError(f"this server is not the right one any more: {error}") from error


class _LocatingSSLConnection(_LocatingConnection, SSLConnection):
    pass


def _find_master(address: Address, options: dict[str, Any]) -> Node:
    query = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", address.service)
    for _, reply in _query_each(address, {**options, **address.sentinel_options}, query):
        if reply:
            host, port = reply
            return host.decode(), int(port)
    raise exceptions.ConnectionError(f"no sentinel knows a master by the name of {address.service}")


def _find_node(address: Address, options: dict[str, Any]) -> Node:
    slot = key_slot(DJANGO_KEY_PREFIX.encode())
    for queried, reply in _query_each(address, {**options, **address.options}, ("CLUSTER", "SLOTS")):
        for node, ranges in read_owners(reply, queried).items():
            if any(slot in slots for slots in ranges):
                return node
    raise exceptions.ConnectionError(f"no node has slot {slot}")


def _query_each(address: Address, options: dict[str, Any], query: tuple[str, ...]) -> Iterator[tuple[Node, Any]]:
    """Yield the replies of one node after the other; nodes that do not answer are skipped."""
    connection_class = SSLConnection if address.is_tls else Connection
    for host, port in address.nodes:
        connection = connection_class(host=host, port=port, **options)
        try:
            connection.connect()  # type: ignore[no-untyped-call]
            connection.send_command(*query)  # type: ignore[no-untyped-call]
            reply = connection.read_response()
        except (exceptions.RedisError, OSError):
            continue
        finally:
            connection.disconnect()  # type: ignore[no-untyped-call]
        yield (host, port), reply
