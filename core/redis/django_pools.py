"""Connections of django-redis, for Django's cache: REDIS_URL means the same there as on the hot path.

redis-py has no URL for Sentinel, and its cluster client is not for django-redis. So each connection looks up its
server before it connects: Sentinel's master, or the cluster's node that has the one slot of all of Django's keys,
which is why they share a hash tag. With that every command works, those with several keys too.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from redis import exceptions
from redis.connection import Connection, ConnectionPool, SSLConnection

from core.redis.slots import key_slot, read_owners
from core.redis.url import DJANGO_KEY_PREFIX, Address, Node, parse_url


class PoolByURL:
    """What django-redis' CONNECTION_POOL_CLASS names. It asks for no more than `from_url`."""

    @staticmethod
    def from_url(url: str, **options: Any) -> ConnectionPool:
        """The pool for any form of REDIS_URL. The options, time-outs among them, yield to the URL's."""
        address = parse_url(url)
        if address.kind == "server":
            return ConnectionPool.from_url(url, **options)
        find = partial(_find_master if address.kind == "sentinel" else _find_node, address, options)
        kind = _FollowingSSLConnection if address.is_tls else _FollowingConnection
        return ConnectionPool(connection_class=kind, find=find, **{**options, **address.options})


class _Following(Connection):
    """Finds its server anew each time that it connects."""

    def __init__(self, *, find: Callable[[], Node], **options: Any) -> None:
        self._find = find
        super().__init__(**options)  # type: ignore[no-untyped-call]

    def _connect(self) -> Any:
        self.host, self.port = self._find()
        return super()._connect()  # type: ignore[no-untyped-call]

    def read_response(self, *args: Any, **options: Any) -> Any:
        """The reply. A refusal because the server is the wrong one by now counts as a lost connection."""
        try:
            return super().read_response(*args, **options)
        except (exceptions.ReadOnlyError, exceptions.MovedError, exceptions.AskError) as error:
            self.disconnect()  # type: ignore[no-untyped-call]
            raise exceptions.ConnectionError(f"this server is not the right one any more: {error}") from error


class _FollowingConnection(_Following):
    pass


class _FollowingSSLConnection(_Following, SSLConnection):
    pass


def _find_master(address: Address, options: dict[str, Any]) -> Node:
    question = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", address.service)
    for _, reply in _ask_each(address, {**options, **address.sentinel_options}, question):
        if reply:
            return reply[0].decode(), int(reply[1])
    raise exceptions.ConnectionError(f"no sentinel knows a master by the name of {address.service}")


def _find_node(address: Address, options: dict[str, Any]) -> Node:
    slot = key_slot(DJANGO_KEY_PREFIX.encode())
    for asked, reply in _ask_each(address, {**options, **address.options}, ("CLUSTER", "SLOTS")):
        for node, ranges in read_owners(reply, asked).items():
            if any(slot in one for one in ranges):
                return node
    raise exceptions.ConnectionError(f"no node has slot {slot}")


def _ask_each(address: Address, options: dict[str, Any], question: tuple[str, ...]) -> Iterator[tuple[Node, Any]]:
    """The answers of one node after the other; who does not answer is passed over."""
    for host, port in address.nodes:
        kind = SSLConnection if address.is_tls else Connection
        with _closing(kind(host=host, port=port, **options)) as connection:
            try:
                connection.connect()  # type: ignore[no-untyped-call]
                connection.send_command(*question)  # type: ignore[no-untyped-call]
                reply = connection.read_response()
            except (exceptions.RedisError, OSError):
                continue
        yield (host, port), reply


@contextmanager
def _closing(connection: Connection) -> Iterator[Connection]:
    try:
        yield connection
    finally:
        connection.disconnect()  # type: ignore[no-untyped-call]
