"""Short queries to several sentinels or cluster nodes at once, and the master that Redis Sentinel names."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError

from core.redis.url import Address, Node

# With the longest pause and timeout of a connection, this must stay below the 2 s in which Redis is used again.
QUERY_SECONDS = 0.3
# How often the sentinels are queried while the master is up.
MASTER_CHECK_SECONDS = 1.0

type Query = tuple[str, ...]
type NodeReplies = tuple[Node, list[Any]]


async def query_all(nodes: Iterable[tuple[Node, AbstractConnection]], queries: Sequence[Query]) -> list[NodeReplies]:
    """Return the replies of the nodes that answered in time; a reply may be a ResponseError.

    Raises the first node's error if no node answers.
    """
    results = await asyncio.gather(
        *(_query(node, connection, queries) for node, connection in nodes), return_exceptions=True
    )
    replies = [result for result in results if not isinstance(result, BaseException)]
    for error in results:
        if isinstance(error, BaseException) and (not replies or not isinstance(error, Exception)):
            raise error
    return replies


async def _query(node: Node, connection: AbstractConnection, queries: Sequence[Query]) -> NodeReplies:
    replies: list[Any] = []
    try:
        async with asyncio.timeout(QUERY_SECONDS):
            await connection.connect()  # type: ignore[no-untyped-call]
            for query in queries:
                await connection.send_command(*query)
                try:
                    replies.append(await connection.read_response())
                except ResponseError as error:
                    replies.append(error)
    except TimeoutError:
        host, port = node
        raise TimeoutError(f"{host}:{port} does not answer within {QUERY_SECONDS} s") from None
    finally:
        await connection.disconnect(nowait=True)
    return node, replies


async def find_master(address: Address) -> Node:
    """Return the address of the service's master, from the sentinel that knows the latest failover.

    A partitioned sentinel may still name an old master. Raises ConnectionError if no sentinel knows the service;
    TimeoutError, OSError or a RedisError if no sentinel answers.
    """
    service = address.service
    replies = await query_all(
        ((node, address.sentinel_connection(node)) for node in address.nodes),
        [("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service), ("SENTINEL", "MASTER", service)],
    )
    masters = [(_failover_epoch(details), master) for _, (master, details) in replies if isinstance(master, list)]
    if not masters:
        raise ConnectionError(f"no sentinel knows a master by the name of {service}")
    _, (host, port) = max(masters)
    return host.decode(), int(port)


def _failover_epoch(details: Any) -> int:
    if not isinstance(details, list):
        return 0
    return int(dict(zip(details[::2], details[1::2], strict=False)).get(b"config-epoch", 0))
