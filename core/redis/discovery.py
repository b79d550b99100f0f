"""Short queries to several sentinels or cluster nodes at once, each over its own connection."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError

from core.redis.url import Node

# With the longest pause and timeout of a connection, this must stay below the 2 s in which Redis is used again.
QUERY_SECONDS = 0.3

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
