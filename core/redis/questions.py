"""Short questions to sentinels and cluster nodes, each over a connection of its own, to several at once."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from redis.exceptions import ResponseError

from core.redis.url import Node

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

# Together with a connection's longest pause and time-out still less than the 2 s after which Redis is used again.
ANSWER_SECONDS = 0.3

type Question = tuple[str, ...]
type Answers = tuple[Node, list[Any]]


async def ask_all(asked: Iterable[tuple[Node, "AbstractConnection"]], questions: Sequence[Question]) -> list[Answers]:
    """The answers of those who gave them in time; an answer may be a ResponseError.

    Raises the first one's error if nobody answers.
    """
    told = await asyncio.gather(
        *(_ask(node, connection, questions) for node, connection in asked), return_exceptions=True
    )
    answers = [one for one in told if not isinstance(one, BaseException)]
    for error in told:
        if isinstance(error, BaseException) and (not answers or not isinstance(error, Exception)):
            raise error
    return answers


async def _ask(node: Node, connection: "AbstractConnection", questions: Sequence[Question]) -> Answers:
    replies: list[Any] = []
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await connection.connect()  # type: ignore[no-untyped-call]
            for question in questions:
                await connection.send_command(*question)
                try:
                    replies.append(await connection.read_response())
                except ResponseError as error:
                    replies.append(error)
    except TimeoutError:
        raise TimeoutError(f"{node[0]}:{node[1]} does not answer within {ANSWER_SECONDS} s") from None
    finally:
        await connection.disconnect(nowait=True)
    return node, replies
