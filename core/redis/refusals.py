"""Errors among Redis' replies. They belong to the call that got them; the connection goes on.

A script that Redis does not know (NOSCRIPT: it was emptied) is loaded and its commands are sent again, once.
An error that tells of Redis' own state ends the connection, and with it the breaker opens. Any other is a
fault of the command.
"""

import asyncio
import hashlib
import logging
from functools import partial
from typing import Any

from hiredis import ReplyError

from core.redis.metrics import FAILURES
from core.redis.pipeline import Call, Command, Pipeline, Replies

logger = logging.getLogger("agent_router.redis")

type Waiter = asyncio.Future[Replies]

STATE_ERRORS = frozenset(
    {
        "OOM",
        "READONLY",
        "LOADING",
        "MISCONF",
        "NOAUTH",
        "NOPERM",
        "NOREPLICAS",
        "MASTERDOWN",
        "CLUSTERDOWN",
        "BUSY",
    }
)


class Refusals:
    """Settles the calls with an error among their replies: callers get None, or what a repetition brings."""

    def __init__(self) -> None:
        self._scripts: dict[str, str] = {}
        self._raw: set[Waiter] = set()
        self._told: set[str] = set()

    def register_script(self, source: str) -> bytes:
        """The script's SHA-1 for EVALSHA."""
        sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
        self._scripts[sha] = source
        return sha.encode()

    def load_commands(self) -> list[Command]:
        """The commands that make every registered script known to Redis."""
        return [("SCRIPT", "LOAD", source) for source in self._scripts.values()]

    def submit_raw(self, pipeline: Pipeline, commands: list[Command]) -> Waiter:
        """Sends the commands; errors come back among the replies."""
        future = pipeline.submit(commands)
        self._raw.add(future)
        future.add_done_callback(self._raw.discard)
        return future

    def settle(self, pipeline: Pipeline, call: Call, replies: list[Any]) -> None:
        """Settles the future of a call, now or after a repetition."""
        future, commands = call
        if future in self._raw:
            future.set_result(replies)
            return
        unknown = [place for place, reply in enumerate(replies) if _code(reply) == "NOSCRIPT"]
        if unknown and not future.done():
            repeated = [*self.load_commands(), *(commands[place] for place in unknown)]
            again = self.submit_raw(pipeline, repeated)
            again.add_done_callback(partial(self._settle_repeated, pipeline, future, replies, unknown))
        else:
            self._settle(pipeline, future, replies)

    def _settle_repeated(
        self, pipeline: Pipeline, future: Waiter, replies: list[Any], places: list[int], again: Waiter
    ) -> None:
        repeated = again.result()
        if repeated is not None:
            for place, reply in zip(places, repeated[-len(places) :], strict=True):
                replies[place] = reply
            self._settle(pipeline, future, replies)
        elif not future.done():
            future.set_result(None)

    def _settle(self, pipeline: Pipeline, future: Waiter, replies: list[Any]) -> None:
        error = next((reply for reply in replies if isinstance(reply, ReplyError)), None)
        if error is not None:
            self._note(pipeline, error)
        if not future.done():
            future.set_result(None if error else replies)

    def _note(self, pipeline: Pipeline, error: ReplyError) -> None:
        code = _code(error)
        if code in STATE_ERRORS:
            pipeline.end("refused", str(error))
            return
        FAILURES.labels(kind="refused").inc()
        if code not in self._told:
            self._told.add(code)
            logger.error("Redis refuses a command: %s", error)


def _code(reply: Any) -> str:
    """The first word of an error, such as NOSCRIPT; empty for what is none."""
    return str(reply).partition(" ")[0] if isinstance(reply, ReplyError) else ""
